//! The level that the cluster's metadata is at, and which levels its brokers know (KIP-584, KIP-778).

use std::collections::BTreeMap;

use host::Host;
use model::{BrokerId, Endpoint, MetadataVersion, MetadataVersions};
use protocol::messages::update_features_request::FeatureUpdateKey;
use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, UpdateFeaturesRequest, string};
use protocol::{ErrorCode, NO_ERROR};

use crate::{Admin, CallError, Channel, ClientConfig, ClientError};

/// What brokers say of the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeaturesInfo {
    /// What the cluster is at, as the broker says that has applied most of the metadata.
    pub finalized: MetadataVersion,
    /// What each live broker knows; none: it does not say.
    pub brokers: BTreeMap<BrokerId, Option<MetadataVersions>>,
}

/// How the level is to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelUpdate {
    Upgrade,
    /// Only if nothing is lost.
    Downgrade,
    /// What a lower level cannot tell is lost.
    UnsafeDowngrade,
}

impl LevelUpdate {
    fn on_the_wire(self) -> i8 {
        match self {
            LevelUpdate::Upgrade => 1,
            LevelUpdate::Downgrade => 2,
            LevelUpdate::UnsafeDowngrade => 3,
        }
    }
}

/// Asks a broker what it speaks, and which features it knows.
pub(crate) async fn api_versions<H: Host>(
    channel: &mut Channel<H>,
    endpoint: &Endpoint,
    config: &ClientConfig,
) -> Result<ApiVersionsResponse, CallError> {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(string(env!("CARGO_PKG_NAME")))
        .with_client_software_version(string(env!("CARGO_PKG_VERSION")));
    let unsent = |error: CallError| CallError::Connect(format!("{endpoint}: {error}"));
    let answer = channel.call(3, &request, config.connect_timeout).await.map_err(unsent)?;
    // A refusal of version 3 names the ranges all the same.
    if answer.error_code != NO_ERROR && answer.error_code != ErrorCode::UnsupportedVersion.code() {
        return Err(CallError::Connect(format!("{endpoint} refuses ApiVersions with error {}", answer.error_code)));
    }
    Ok(answer)
}

impl<H: Host> Admin<H> {
    /// The level of the metadata, and what each live broker knows.
    ///
    /// # Errors
    /// Once the operation's time is over.
    pub async fn describe_features(&self) -> Result<FeaturesInfo, ClientError> {
        let brokers = self.describe_cluster().await?.brokers;
        let mut info = FeaturesInfo { finalized: MetadataVersion::OLDEST, brokers: BTreeMap::new() };
        let mut newest = -1;
        for (broker, endpoint) in brokers {
            let told = match self.features_of(&endpoint).await {
                Ok(answer) => {
                    let finalized = answer.finalized_features.iter().find(|feature| is_metadata(&feature.name));
                    if let Some(level) = finalized.and_then(|feature| level(feature.max_version_level))
                        && newest < answer.finalized_features_epoch
                    {
                        (newest, info.finalized) = (answer.finalized_features_epoch, level);
                    }
                    Some(known(&answer))
                }
                Err(_gone) => None,
            };
            info.brokers.insert(broker, told);
        }
        Ok(info)
    }

    async fn features_of(&self, endpoint: &Endpoint) -> Result<ApiVersionsResponse, CallError> {
        let (host, config) = (self.cluster.host(), self.cluster.config());
        let mut channel = Channel::connect(host, endpoint, &config.client_id, config.connect_timeout).await?;
        api_versions(&mut channel, endpoint, config).await
    }

    /// Brings the metadata to another level, or with `validate_only` looks whether that could be done; waits until it is committed. To ask
    /// for the level that the cluster is at is no error in an upgrade.
    ///
    /// # Errors
    /// `Refused` with what is wrong; others once the operation's time is over: it may have been done.
    pub async fn update_level(
        &self,
        level: MetadataVersion,
        update: LevelUpdate,
        validate_only: bool,
    ) -> Result<(), ClientError> {
        let feature = FeatureUpdateKey::default()
            .with_feature(string(MetadataVersion::FEATURE))
            .with_max_version_level(i16::try_from(level.0).unwrap_or(i16::MAX))
            .with_upgrade_type(update.on_the_wire());
        let request = UpdateFeaturesRequest::default()
            .with_timeout_ms(self.cluster.config().request_timeout.as_millis() as i32)
            .with_feature_updates(vec![feature])
            .with_validate_only(validate_only);
        let attempt = || async {
            let answer = self.cluster.ask_any(|_version| request.clone()).await?;
            let of_feature = answer.results.into_iter().next();
            let (code, message) = match of_feature {
                Some(result) if answer.error_code == NO_ERROR => (result.error_code, result.error_message),
                _ => (answer.error_code, answer.error_message),
            };
            ClientError::from_code(code, message.as_deref()).map_or(Ok(()), Err)
        };
        self.cluster.retry(attempt).await
    }
}

fn is_metadata(name: &str) -> bool {
    name == MetadataVersion::FEATURE
}

fn level(told: i16) -> Option<MetadataVersion> {
    u16::try_from(told).ok().map(MetadataVersion)
}

/// What a broker knows that answers so. One that tells no features is of before there were any.
fn known(answer: &ApiVersionsResponse) -> MetadataVersions {
    let told = answer.supported_features.iter().find(|feature| is_metadata(&feature.name));
    told.and_then(|told| Some(MetadataVersions { oldest: level(told.min_version)?, newest: level(told.max_version)? }))
        .unwrap_or_default()
}
