//! This node's part in the metadata quorum: the shell around the quorum and controller roles.
//! (What the rest of the server calls; its author fills it in.)

use std::sync::Arc;

use host::Host;
use model::{BrokerId, ClusterId, Endpoint};
use protocol::messages::FetchRequest;
use protocol::{Request, Response};
use roles::controller::{Command, Image, Refusal, Reply};
use tokio::sync::watch;

use crate::config::Config;

/// Why a command has no reply.
#[derive(Debug)]
pub(crate) enum SubmitError {
    /// This node is not the active controller: nothing was done.
    NotController,
    /// Nothing was done.
    Refused(Refusal),
    /// Leadership was lost, or time ran out, before the decision was committed: it may still be.
    InDoubt,
}

pub(crate) struct Metadata<H: Host> {
    host: H,
    images: watch::Receiver<Arc<Image>>,
}

impl<H: Host> Clone for Metadata<H> {
    fn clone(&self) -> Self {
        Metadata { host: self.host.clone(), images: self.images.clone() }
    }
}

impl<H: Host> Metadata<H> {
    /// Committed metadata, applied in order.
    pub(crate) fn images(&self) -> watch::Receiver<Arc<Image>> {
        self.images.clone()
    }

    /// The active controller, as far as this node knows.
    pub(crate) fn leader(&self) -> Option<(BrokerId, Endpoint)> {
        None
    }

    /// Does this Fetch ask for the metadata log?
    pub(crate) fn is_metadata_fetch(&self, _version: i16, _request: &FetchRequest) -> bool {
        false
    }

    /// Has the active controller, if it is this node, decide about `command`; answers once the decision is committed.
    pub(crate) async fn submit(&self, _command: Command) -> Result<Reply, SubmitError> {
        Err(SubmitError::NotController)
    }

    /// Answers Vote, BeginQuorumEpoch, EndQuorumEpoch, DescribeQuorum and Fetch of the metadata log (a long poll). None closes
    /// nothing and answers nothing.
    pub(crate) async fn handle(&self, _version: i16, _request: Request) -> Option<Response> {
        None
    }

    /// Gives up leadership before the node ends.
    pub(crate) async fn resign(&self) {}
}

pub(crate) async fn open<H: Host>(
    _config: &Config,
    _cluster_id: &ClusterId,
    host: &H,
) -> Result<Metadata<H>, std::io::Error> {
    let (_sender, images) = watch::channel(Arc::new(Image::default()));
    Ok(Metadata { host: host.clone(), images })
}
