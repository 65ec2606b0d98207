//! How the commands that are clients reach their cluster.

use std::future::Future;
use std::time::Duration;

use clap::Args;
use client::{Admin, ClientConfig, ClientError, TopicInfo};
use host::real::RealHost;
use model::Endpoint;

use crate::failure::Failure;

/// A person waits: what has not succeeded by now is told.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Args, Clone)]
pub(crate) struct ClusterAccess {
    /// Any brokers of the cluster, as host:port, several with commas; the others are learnt from them.
    #[arg(long, value_name = "ADDRESSES", default_value = "localhost:9092", value_delimiter = ',')]
    bootstrap: Vec<Endpoint>,
}

impl ClusterAccess {
    /// Runs what `act` makes of a host and this cluster, to its end.
    pub(crate) fn run<F: Future<Output = Result<(), Failure>>>(
        self,
        act: impl FnOnce(RealHost, ClientConfig) -> F,
    ) -> Result<(), Failure> {
        let runtime = super::serve::runtime(1)?;
        let result = runtime.block_on(async {
            // A client keeps no files; the directory is only there because every host has one.
            let host =
                RealHost::new(".").map_err(|error| Failure::failed(format!("cannot use this directory: {error}")))?;
            let config = ClientConfig {
                client_id: "broker-cli".into(),
                operation_timeout: PATIENCE,
                ..ClientConfig::new(self.bootstrap)
            };
            act(host, config).await
        });
        runtime.shutdown_background();
        result
    }
}

/// The topic, or how to make it.
pub(crate) async fn find_topic(admin: &Admin<RealHost>, name: &str) -> Result<TopicInfo, Failure> {
    let mut topics = admin.topics().await.map_err(refused)?;
    topics.remove(name).ok_or_else(|| {
        Failure::failed(format!("there is no topic \"{name}\": make it with `broker topic create {name}`"))
    })
}

pub(crate) fn refused(error: ClientError) -> Failure {
    let hint = match &error {
        ClientError::NoBroker(_) => ". Is one running there? `broker serve` starts one, --bootstrap says where it is",
        ClientError::NoBootstrap
        | ClientError::Call(_)
        | ClientError::Version(_)
        | ClientError::Refused { .. }
        | ClientError::NoLeader { .. }
        | ClientError::Unknown(_)
        | ClientError::Missing => "",
    };
    Failure::failed(format!("{error}{hint}"))
}
