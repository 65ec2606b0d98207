//! The level that the cluster's metadata is at (KIP-584, KIP-778): raised when every node knows the next one, lowered when nothing would be
//! lost, or when the operator says that it may be.

use model::{Bug, MetadataVersion, MetadataVersions};

use super::record::FeatureLevel;
use super::{Controller, Decision, Image, LevelChange, Record, Refusal, Registrant, Reply, UpdateLevel};

impl Controller {
    pub(super) fn update_level(&self, request: &UpdateLevel) -> Result<Decision, Refusal> {
        let current = self.image.metadata_version();
        self.check_level(request, current)?;
        let mut draft = self.draft();
        if request.level != current && !request.validate_only {
            model::reached!("the metadata's level was changed");
            draft.push(Record::FeatureLevel(FeatureLevel::of(request.level)));
        }
        Ok(Decision { records: draft.records, reply: Reply::LevelUpdated })
    }

    fn check_level(&self, request: &UpdateLevel, current: MetadataVersion) -> Result<(), Refusal> {
        let refused = |why: String| Err(Refusal::InvalidLevel(why));
        let level = request.level;
        let known = MetadataVersions::up_to(self.settings.metadata_version_max);
        if !known.contains(level) {
            return refused(format!("the controller knows metadata.version {known}, and not {level}"));
        }
        match request.change {
            LevelChange::Raise if level < current => {
                return refused(format!("metadata.version is {current}: to go back to {level}, ask for a downgrade"));
            }
            LevelChange::LowerWithoutLoss | LevelChange::LowerWithLoss if current <= level => {
                return refused(format!("metadata.version is {current}: to go on to {level}, ask for an upgrade"));
            }
            LevelChange::Raise | LevelChange::LowerWithoutLoss | LevelChange::LowerWithLoss => {}
        }
        if self.settings.planted.has(Bug::LevelRaisedTooEarly) {
            return Ok(());
        }
        let brokers = self.image.brokers.iter().map(|(id, registration)| ("broker", id, registration.versions));
        let controllers = request.controllers.iter().map(|(id, versions)| ("controller", id, *versions));
        if let Some((role, id, versions)) = brokers.chain(controllers).find(|(_, _, known)| !known.contains(level)) {
            model::reached!("a level was refused that some node does not know");
            return refused(format!(
                "{role} {id} knows metadata.version {versions}: start it with a release that knows {level}, or take it out of the cluster"
            ));
        }
        if level < current && self.image.voters.is_some() && !level.has_voters() {
            return refused(format!(
                "the voters were changed, which metadata.version {level} cannot tell: the cluster stays at {current}"
            ));
        }
        if request.change == LevelChange::LowerWithoutLoss && self.image.would_forget(level) {
            return refused(format!(
                "metadata would be lost that {level} cannot tell: bring the partitions back that nobody leads, or ask for an unsafe downgrade"
            ));
        }
        Ok(())
    }

    /// A broker that would misread the metadata is none of this cluster.
    pub(super) fn check_versions(&self, registrant: &Registrant) -> Result<(), Refusal> {
        let level = self.image.metadata_version();
        if registrant.versions.contains(level) || self.settings.planted.has(Bug::LevelRaisedTooEarly) {
            return Ok(());
        }
        let (broker, versions) = (registrant.broker, registrant.versions);
        Err(Refusal::UnsupportedVersion(format!(
            "broker {broker} knows metadata.version {versions}, and the cluster is at {level}: start it with a newer release"
        )))
    }
}

impl Image {
    /// The level that metadata is at.
    pub fn metadata_version(&self) -> MetadataVersion {
        self.level.unwrap_or_default()
    }

    /// True if there is something that metadata of this level does not say.
    fn would_forget(&self, level: MetadataVersion) -> bool {
        !level.has_last_leaders() && self.partitions().any(|(_, partition)| partition.last_leader.is_some())
    }
}
