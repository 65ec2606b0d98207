//! The simulated network: links with latency and loss, partitions, and connections that end as real ones do.
//!
//! Fault model: links are slow, lose segments (seen as delay: streams stay in order), and may be blocked, one direction at a
//! time. A blocked link delays what is on its way until it is free. Nothing is altered, doubled or reordered within a
//! connection, as TCP's sums and sequence numbers promise.

mod connection;
mod fabric;
mod link;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

pub use connection::WINDOW;
pub(crate) use fabric::Fabric;
pub use link::{LinkSettings, Links};
pub use stream::{SimConnection, SimListener, SimReader, SimWriter};

use crate::digest::NodeIndex;

/// The network of one world, for scenarios to set and to break. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    fabric: Fabric,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    next: u32,
    /// Those in force.
    blocked: BTreeMap<u32, Blockage>,
}

struct Blockage {
    links: Links,
    held: bool,
}

/// A partition or a hold in force: give it to [`Network::lift`].
#[must_use = "a fault that nobody can lift lasts"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault(u32);

impl Network {
    pub(crate) fn new(fabric: Fabric) -> Network {
        Network { fabric, faults: Arc::default() }
    }

    /// What every link is like, except each node's with itself.
    pub fn set_default(&self, settings: LinkSettings) {
        self.fabric.state().set_default(settings);
    }

    /// What some links are like.
    pub fn set_links(&self, links: &Links, settings: LinkSettings) {
        for &(from, to) in &links.0 {
            self.fabric.state().set_link(from, to, settings);
        }
    }

    /// What a node and itself are like.
    pub fn set_loopback(&self, node: NodeIndex, settings: LinkSettings) {
        self.fabric.state().set_link(node, node, settings);
    }

    /// Blocks links. Whatever is sent, or was on its way, is sent again within a short back-off once the fault is lifted.
    pub fn partition(&self, links: &Links) -> Fault {
        self.block(links, false)
    }

    /// Blocks links like [`Network::partition`], but what was held arrives in one burst as soon as the fault is lifted.
    pub fn hold(&self, links: &Links) -> Fault {
        self.block(links, true)
    }

    /// Ends a fault; links of other faults stay blocked.
    pub fn lift(&self, fault: Fault) {
        if let Some(Blockage { links, held }) = self.faults.lock().blocked.remove(&fault.0) {
            for &(from, to) in &links.0 {
                self.fabric.state().unblock(from, to, fault.0, held);
            }
        }
    }

    /// Ends all faults.
    pub fn lift_all(&self) {
        let faults: Vec<Fault> = self.faults.lock().blocked.keys().map(|&fault| Fault(fault)).collect();
        faults.into_iter().for_each(|fault| self.lift(fault));
    }

    fn block(&self, links: &Links, held: bool) -> Fault {
        let faults = &mut *self.faults.lock();
        let fault = faults.next;
        faults.next += 1;
        for &(from, to) in &links.0 {
            self.fabric.state().block(from, to, fault);
        }
        faults.blocked.insert(fault, Blockage { links: links.clone(), held });
        Fault(fault)
    }
}
