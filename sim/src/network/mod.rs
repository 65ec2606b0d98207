//! The simulated network: links with latency and loss, partitions, and connections that end as real ones do.
//!
//! Fault model, all of which the system must survive:
//! - links are slow, lose segments (seen as delay: streams stay in order), and carry so many bytes a second; a machine's card
//!   does too, for all its links together, and what waits for either waits in line;
//! - links are blocked, one direction at a time. What is on its way waits until they are free, and comes after a back-off, or in
//!   one burst if the fault was a hold. A sender that gets no answer for a quarter of an hour gives its connection up;
//! - requests for a connection are refused at once, or never answered, while connections that are there go on;
//! - connections are reset at both ends; or forgotten by one machine, of which the other knows nothing until it sends; or
//!   stranded: nothing passes on them any more, and nobody is told, though new ones are made (a firewall lost its tables).
//!
//! Nothing is altered, doubled or reordered within a connection, as TCP's sums and sequence numbers promise.

mod connection;
mod fabric;
mod link;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::confined::Confined;

pub use connection::{GIVEN_UP_AFTER, WINDOW};
pub(crate) use fabric::Fabric;
use fabric::Severance;
pub use link::{LinkSettings, Links};
pub use stream::{SimConnection, SimListener, SimReader, SimWriter};

use crate::digest::NodeIndex;

/// The network of one world, for scenarios to set and to break. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    fabric: Fabric,
    faults: Arc<Confined<Faults>>,
}

#[derive(Default)]
struct Faults {
    next: u32,
    /// Those in force.
    lasting: BTreeMap<u32, (Links, Bar)>,
}

/// What some links are barred for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bar {
    /// Everything.
    Partition,
    /// Everything, until it comes in one burst.
    Hold,
    /// Requests for a connection, which are refused.
    Refusal,
    /// Requests for a connection, which are lost.
    Silence,
}

/// A fault of links in force: give it to [`Network::lift`].
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

    /// How many bytes a second the card of a node takes in, and puts out, for all its links together; none is unlimited.
    pub fn set_card(&self, node: NodeIndex, bandwidth: Option<u64>) {
        self.fabric.state().set_card(node, bandwidth);
    }

    /// Blocks links. Whatever is sent, or was on its way, is sent again within a short back-off once the fault is lifted.
    pub fn partition(&self, links: &Links) -> Fault {
        self.bar(links, Bar::Partition)
    }

    /// Blocks links like [`Network::partition`], but what was held arrives in one burst as soon as the fault is lifted.
    pub fn hold(&self, links: &Links) -> Fault {
        self.bar(links, Bar::Hold)
    }

    /// Refuses requests for a connection that come over these links, at once. Connections go on.
    pub fn refuse(&self, links: &Links) -> Fault {
        self.bar(links, Bar::Refusal)
    }

    /// Answers no request for a connection that comes over these links. Connections go on.
    pub fn ignore(&self, links: &Links) -> Fault {
        self.bar(links, Bar::Silence)
    }

    /// Ends a fault; links of other faults stay as they are.
    pub fn lift(&self, fault: Fault) {
        if let Some((links, bar)) = self.faults.lock().lasting.remove(&fault.0) {
            for &(from, to) in &links.0 {
                self.fabric.state().unbar(from, to, fault.0, bar);
            }
        }
    }

    /// Ends all faults.
    pub fn lift_all(&self) {
        let faults: Vec<Fault> = self.faults.lock().lasting.keys().map(|&fault| Fault(fault)).collect();
        faults.into_iter().for_each(|fault| self.lift(fault));
    }

    /// Resets every connection over any of these links: both its ends are told, each if it can be reached.
    pub fn reset(&self, links: &Links) {
        self.fabric.state().sever(links, Severance::Reset);
    }

    /// The first node of each link forgets its connections with the second: its process is told at once, the other side only
    /// when it sends.
    pub fn forget(&self, links: &Links) {
        self.fabric.state().sever(links, Severance::Forgotten);
    }

    /// Nothing passes any more on connections over any of these links, and nobody is told.
    pub fn strand(&self, links: &Links) {
        self.fabric.state().sever(links, Severance::Stranded);
    }

    fn bar(&self, links: &Links, bar: Bar) -> Fault {
        let faults = &mut *self.faults.lock();
        let fault = faults.next;
        faults.next += 1;
        for &(from, to) in &links.0 {
            self.fabric.state().bar(from, to, fault, bar);
        }
        faults.lasting.insert(fault, (links.clone(), bar));
        Fault(fault)
    }
}
