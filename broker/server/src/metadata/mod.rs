//! This node's part in the metadata quorum: the shell around the quorum and controller roles.
//! (What the rest of the server calls; its author fills it in.)

use std::sync::Arc;

use host::Host;
use model::{BrokerId, ClusterId, Endpoint};
use protocol::messages::FetchRequest;
use roles::controller::Image;
use tokio::sync::watch;

use crate::config::Config;

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
