//! UpdateFeatures (KIP-584, KIP-778): the level of the metadata is raised or lowered. Done by the active controller, which first asks the
//! other voters what they know; any other node passes the request on.

use std::sync::Arc;

use host::Host;
use model::{BrokerId, MetadataVersion, MetadataVersions};
use protocol::messages::update_features_request::FeatureUpdateKey;
use protocol::messages::update_features_response::UpdatableFeatureResult;
use protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse, string};
use protocol::{ErrorCode, NO_ERROR, Response};
use roles::controller::{Command, LevelChange, Reply, UpdateLevel};

use super::api_versions;
use super::decided::{Undecided, decide};
use crate::node::Node;
use crate::router::Answer;

/// What a forwarded request is spoken in.
const VERSION: i16 = 1;

const RAISE: i8 = 1;
const LOWER_WITHOUT_LOSS: i8 = 2;
const LOWER_WITH_LOSS: i8 = 3;

pub(crate) fn handle<H: Host>(node: &Arc<Node<H>>, version: i16, request: UpdateFeaturesRequest) -> Answer {
    let node = node.clone();
    Answer::later(async move {
        let features: Vec<_> = request.feature_updates.iter().map(|update| update.feature.clone()).collect();
        let updated = update(&node, in_newer_words(version, request)).await;
        let answer = UpdateFeaturesResponse::default().with_error_message(None);
        Response::UpdateFeatures(match updated {
            Ok(answer) if version <= VERSION => answer,
            // Since version 2 the answer has no word for each feature.
            Ok(answer) => match answer.results.iter().find(|result| result.error_code != NO_ERROR).cloned() {
                Some(refused) => UpdateFeaturesResponse::default()
                    .with_error_code(refused.error_code)
                    .with_error_message(refused.error_message),
                None => answer.with_results(Vec::new()),
            },
            Err(Undecided { code, message }) if VERSION < version || is_of_the_request(code) => {
                answer.with_error_code(code).with_error_message(Some(string(&message)))
            }
            Err(Undecided { code, message }) => answer.with_results(
                features
                    .into_iter()
                    .map(|feature| result(feature, code).with_error_message(Some(string(&message))))
                    .collect(),
            ),
        })
    })
}

/// True of what says nothing of a feature: ask again, or elsewhere.
fn is_of_the_request(code: i16) -> bool {
    code != ErrorCode::InvalidUpdateVersion.code()
}

fn result(feature: protocol::messages::StrBytes, code: i16) -> UpdatableFeatureResult {
    UpdatableFeatureResult::default().with_feature(feature).with_error_code(code).with_error_message(None)
}

/// Before version 1 a request only said whether a level may be lowered.
fn in_newer_words(version: i16, mut request: UpdateFeaturesRequest) -> UpdateFeaturesRequest {
    for update in request.feature_updates.iter_mut().filter(|_| version == 0) {
        update.upgrade_type = if update.allow_downgrade { LOWER_WITHOUT_LOSS } else { RAISE };
        update.allow_downgrade = false;
    }
    request
}

async fn update<H: Host>(node: &Node<H>, request: UpdateFeaturesRequest) -> Result<UpdateFeaturesResponse, Undecided> {
    let [update] = &request.feature_updates[..] else {
        return Err(invalid("one feature is updated at a time, and there is one: metadata.version".into()));
    };
    let (level, change) = asked(update)?;
    let controllers = if api_versions::leads(node) { what_voters_know(node).await? } else { Vec::new() };
    let command =
        Command::UpdateLevel(UpdateLevel { level, change, controllers, validate_only: request.validate_only });
    decide(node, VERSION, &request, command, |reply| match reply {
        Reply::LevelUpdated => {
            let updated = result(update.feature.clone(), NO_ERROR);
            Some(UpdateFeaturesResponse::default().with_error_message(None).with_results(vec![updated]))
        }
        _ => None,
    })
    .await
}

fn asked(update: &FeatureUpdateKey) -> Result<(MetadataVersion, LevelChange), Undecided> {
    let refused = |message| Undecided { code: ErrorCode::InvalidUpdateVersion.code(), message };
    if update.feature.as_str() != MetadataVersion::FEATURE {
        return Err(refused(format!("there is no feature {}: the only one is metadata.version", &*update.feature)));
    }
    let level = u16::try_from(update.max_version_level).ok().filter(|level| 0 < *level);
    let level = level.ok_or_else(|| refused("metadata.version has a level, from 1 on".into()))?;
    let change = match update.upgrade_type {
        RAISE => LevelChange::Raise,
        LOWER_WITHOUT_LOSS => LevelChange::LowerWithoutLoss,
        LOWER_WITH_LOSS => LevelChange::LowerWithLoss,
        other => return Err(invalid(format!("there is no upgrade type {other}"))),
    };
    Ok((MetadataVersion(level), change))
}

fn invalid(message: String) -> Undecided {
    Undecided { code: ErrorCode::InvalidRequest.code(), message }
}

/// What each voter but this one says of itself. Brokers said it when they registered; a controller that is none is asked.
async fn what_voters_know<H: Host>(node: &Node<H>) -> Result<Vec<(BrokerId, MetadataVersions)>, Undecided> {
    let voters = node.metadata.voters();
    let others = voters.iter().filter(|voter| voter.id != node.config.node_id);
    let asking = others.map(|voter| async move {
        match api_versions::ask(node, &voter.endpoint).await {
            Ok(answer) => Ok((voter.id, api_versions::versions_told(&answer))),
            Err(error) => Err(Undecided {
                code: ErrorCode::RequestTimedOut.code(),
                message: format!(
                    "controller {} does not say what metadata it knows ({error}): start it, or have it vote no more",
                    voter.id
                ),
            }),
        }
    });
    futures_util::future::join_all(asking).await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(feature: &str, level: i16, upgrade_type: i8) -> FeatureUpdateKey {
        FeatureUpdateKey::default()
            .with_feature(string(feature))
            .with_max_version_level(level)
            .with_upgrade_type(upgrade_type)
    }

    #[test]
    fn only_the_metadata_has_a_level_and_it_is_one_or_more() {
        let read =
            |feature, level, upgrade_type| asked(&update(feature, level, upgrade_type)).map_err(|refused| refused.code);
        assert_eq!(read("metadata.version", 2, 1), Ok((MetadataVersion(2), LevelChange::Raise)));
        assert_eq!(read("metadata.version", 1, 3), Ok((MetadataVersion(1), LevelChange::LowerWithLoss)));
        let (version, request) = (ErrorCode::InvalidUpdateVersion.code(), ErrorCode::InvalidRequest.code());
        assert_eq!(read("group.version", 1, 1), Err(version));
        assert_eq!(read("metadata.version", 0, 2), Err(version));
        assert_eq!(read("metadata.version", -3, 1), Err(version));
        assert_eq!(read("metadata.version", 2, 9), Err(request));
    }

    #[test]
    fn the_oldest_words_for_a_downgrade_mean_one_without_loss() {
        let old = |allows| update("metadata.version", 1, RAISE).with_allow_downgrade(allows);
        let request = UpdateFeaturesRequest::default().with_feature_updates(vec![old(true), old(false)]);
        let types: Vec<_> =
            in_newer_words(0, request).feature_updates.iter().map(|update| update.upgrade_type).collect();
        assert_eq!(types, [LOWER_WITHOUT_LOSS, RAISE]);
    }
}
