//! Brokers come, stay and go: registration, heartbeats, silence (KIP-631).

use model::{BrokerEpoch, BrokerId, Bug, DirectoryId, Time};

use super::draft::Draft;
use super::record::RegisterBroker;
use super::{Controller, Decision, Heartbeat, HeartbeatReply, Image, Record, Refusal, Registrant, Registration, Reply};

impl Controller {
    /// A new process of a broker puts an end to the one before, at once: what that one still asks is void.
    pub(super) fn register_broker(&self, registrant: &Registrant) -> Result<Decision, Refusal> {
        self.check_versions(registrant)?;
        if let Some(known) = self.image.brokers.get(&registrant.broker)
            && known.incarnation == registrant.incarnation
        {
            return Ok(Decision { records: Vec::new(), reply: Reply::Registered { epoch: known.epoch } });
        }
        if self.image.brokers.get(&registrant.broker).is_some_and(|known| !known.fenced) {
            model::reached!("a new process of a broker came before the old one's session ended");
        }
        let mut draft = self.draft();
        let epoch = BrokerEpoch(draft.image.end.0);
        draft.push(Record::RegisterBroker(RegisterBroker {
            epoch: None,
            broker: registrant.broker,
            incarnation: registrant.incarnation,
            endpoint: registrant.endpoint.clone(),
            rack: registrant.rack.clone(),
            versions: Some(registrant.versions),
            directories: (!registrant.directories.is_empty()).then(|| registrant.directories.clone()),
        }));
        // What the last registration wrote is all there. A later one may have written more.
        let known = self.image.brokers.get(&registrant.broker).map(|known| known.epoch);
        let stopped_in_order = registrant.previous_epoch.is_some() && registrant.previous_epoch == known;
        if stopped_in_order {
            model::reached!("a broker came back that had stopped in order");
        }
        if !self.settings.answers_after_sync && !stopped_in_order {
            draft.distrust(registrant.broker);
        }
        if !self.settings.planted.has(Bug::RestartKeepsLeadership) {
            draft.settle_partitions_of(&[registrant.broker]);
        }
        Ok(Decision { records: draft.records, reply: Reply::Registered { epoch } })
    }

    pub(super) fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<Decision, Refusal> {
        let registration = self.registration(heartbeat.broker, heartbeat.epoch)?;
        let is_caught_up = heartbeat.epoch.0 < heartbeat.metadata_end.0;
        let mut draft = None;
        let is_lost = |directory: &DirectoryId| heartbeat.offline_directories.contains(directory);
        if registration.directories.iter().any(is_lost) {
            model::reached!("a controller learned that a broker had lost a log directory");
            let left = registration.directories.iter().copied().filter(|directory| !is_lost(directory)).collect();
            draft.get_or_insert_with(|| self.draft()).leave_directories(heartbeat.broker, left);
        }
        let mut should_shut_down = false;
        if heartbeat.wants_shut_down {
            should_shut_down = registration.fenced
                || (registration.in_controlled_shutdown && !leads_anything(&self.image, heartbeat.broker));
            if should_shut_down && !registration.fenced {
                model::reached!("a broker was let go in order");
                draft.get_or_insert_with(|| self.draft()).fence(heartbeat.broker, true);
            } else if !registration.in_controlled_shutdown && !registration.fenced {
                draft.get_or_insert_with(|| self.draft()).begin_controlled_shutdown(heartbeat.broker);
            }
        } else if heartbeat.wants_fence != registration.fenced && (heartbeat.wants_fence || is_caught_up) {
            draft.get_or_insert_with(|| self.draft()).fence(heartbeat.broker, heartbeat.wants_fence);
        }
        let after = draft.as_ref().map_or(&self.image, |draft| &draft.image);
        let is_fenced = after.brokers.get(&heartbeat.broker).is_none_or(|registration| registration.fenced);
        let reply = Reply::Heartbeat(HeartbeatReply { is_caught_up, is_fenced, should_shut_down });
        Ok(Decision { records: draft.map_or_else(Vec::new, |draft: Draft| draft.records), reply })
    }

    /// Takes a broker out of the cluster that is not to come back. Its replicas are still counted on: move them first.
    pub(super) fn unregister_broker(&self, broker: BrokerId) -> Result<Decision, Refusal> {
        if !self.image.brokers.contains_key(&broker) {
            return Err(Refusal::BrokerIdNotRegistered(broker));
        }
        let mut draft = self.draft();
        draft.unregister(broker);
        Ok(Decision { records: draft.records, reply: Reply::Unregistered })
    }

    pub(super) fn expire_sessions(&self, now: Time) -> Decision {
        let unfenced = self.image.brokers.iter().filter(|(_, registration)| !registration.fenced);
        self.fence(unfenced.map(|(&broker, _)| broker).filter(|broker| self.session_ends(*broker) <= now).collect())
    }

    /// Processes that are gone need not be waited for. Of one that came since, or that is not counted on, that says nothing.
    pub(super) fn end_sessions(&self, gone: &[(BrokerId, BrokerEpoch)]) -> Decision {
        let is_counted_on = |&(broker, epoch): &(BrokerId, BrokerEpoch)| {
            self.image.brokers.get(&broker).is_some_and(|known| known.epoch == epoch && !known.fenced)
        };
        let mut gone: Vec<BrokerId> = gone.iter().copied().filter(is_counted_on).map(|(broker, _)| broker).collect();
        if self.settings.planted.has(Bug::NeverFence) {
            gone.clear();
        }
        if !gone.is_empty() {
            model::reached!("a broker's process was gone before its session ended");
        }
        self.fence(gone)
    }

    fn fence(&self, silent: Vec<BrokerId>) -> Decision {
        if silent.is_empty() {
            return Decision { records: Vec::new(), reply: Reply::SessionsExpired };
        }
        if 1 < silent.len() {
            model::reached!("several sessions ended at once");
        }
        let mut draft = self.draft();
        draft.fence_all(&silent);
        Decision { records: draft.records, reply: Reply::SessionsExpired }
    }

    /// The registration that a request of `broker` speaks for.
    pub(super) fn registration(&self, broker: BrokerId, epoch: BrokerEpoch) -> Result<&Registration, Refusal> {
        let registration = self.image.brokers.get(&broker).ok_or(Refusal::BrokerIdNotRegistered(broker))?;
        if registration.epoch != epoch {
            model::reached!("a process that was replaced was refused");
            return Err(Refusal::StaleBrokerEpoch { broker, current: registration.epoch, asked: epoch });
        }
        Ok(registration)
    }

    /// When the session of a broker that stays silent ends. One that this controller never heard of counts from its own start.
    pub(super) fn session_ends(&self, broker: BrokerId) -> Time {
        if self.settings.planted.has(Bug::NeverFence) {
            return Time(u64::MAX);
        }
        self.heard.get(&broker).copied().unwrap_or(self.started) + self.settings.session_timeout
    }
}

fn leads_anything(image: &Image, broker: BrokerId) -> bool {
    image.topics.values().any(|topic| topic.partitions.iter().any(|partition| partition.leader == Some(broker)))
}
