//! How this node speaks to the active controller: one connection, found again whenever the controller moves.

use client::{CallError, Channel};
use host::Host;
use model::{BrokerId, Endpoint};
use protocol::messages::RequestMessage;
use thiserror::Error;
use tokio::sync::Mutex;

use crate::config::Config;
use crate::metadata::Metadata;

/// Why the controller did not answer.
#[derive(Debug, Error)]
pub(crate) enum ControllerError {
    #[error("no controller is known: a majority of the voters must be up")]
    Unknown,
    /// The request never left: nothing happened.
    #[error("cannot reach the controller: {0}")]
    Unreachable(CallError),
    /// The request left and no answer came: it may have been done.
    #[error("the controller did not answer: {0}")]
    InDoubt(CallError),
}

pub(crate) struct ControllerChannel<H: Host> {
    host: H,
    client_id: String,
    timeout: std::time::Duration,
    metadata: Metadata<H>,
    open: Mutex<Option<(BrokerId, Channel<H>)>>,
}

impl<H: Host> ControllerChannel<H> {
    pub(crate) fn new(config: &Config, host: H, metadata: Metadata<H>) -> ControllerChannel<H> {
        let client_id = format!("broker-{}", config.node_id);
        ControllerChannel { host, client_id, timeout: config.request_timeout, metadata, open: Mutex::new(None) }
    }

    /// Asks the active controller. One request at a time: they are few, and small.
    pub(crate) async fn call<R: RequestMessage + Sync>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ControllerError> {
        let (id, endpoint) = self.metadata.leader().ok_or(ControllerError::Unknown)?;
        let mut open = self.open.lock().await;
        // Taken out, so that a call that is cancelled half way leaves no channel with an answer still to come.
        let mut channel = match open.take() {
            Some((known, channel)) if known == id => channel,
            _ => tokio::select! {
                biased;
                channel = self.connect(&endpoint) => channel.map_err(ControllerError::Unreachable)?,
                () = self.metadata.leader_other_than(id) => return Err(ControllerError::Unknown),
            },
        };
        // A controller that was deposed may be a machine that is gone: its successor is not kept waiting for its silence.
        let response = tokio::select! {
            biased;
            response = channel.call(version, request, self.timeout) => response.map_err(ControllerError::InDoubt)?,
            () = self.metadata.leader_other_than(id) => {
                model::reached!("the controller changed while it was asked");
                return Err(ControllerError::InDoubt(CallError::Closed));
            }
        };
        *open = Some((id, channel));
        Ok(response)
    }

    /// Forgets the connection: whoever answered was not the controller.
    pub(crate) async fn forget(&self) {
        self.open.lock().await.take();
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Channel<H>, CallError> {
        Channel::connect(&self.host, endpoint, &self.client_id, self.timeout).await
    }
}
