//! What most random scenarios have nothing of. It is drawn last, and moves no other draw.

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

use super::Profile;
use super::disks::{Disks, disks};
use super::handover::{Handover, handover};
use super::losing::{Losing, losing};
use super::moving::{Moving, moving};
use super::packing::{Packing, packing};
use super::quorum::{Quorum, quorum};
use super::racks::{Racks, racks};
use super::releases::{Releases, releases};
use super::remaking::{Remaking, remaking};
use super::stops::{Stops, stops};
use super::voters::{Voters, voters};
use crate::cluster::{Cluster, Topic};
use crate::scenario::Scenario;

/// What most scenarios have nothing of.
#[derive(Clone, Debug, Default)]
pub(super) struct Seldom {
    handover: Handover,
    quorum: Quorum,
    racks: Racks,
    packing: Packing,
    moving: Moving,
    losing: Losing,
    disks: Disks,
    remaking: Remaking,
    releases: Releases,
    stops: Stops,
    voters: Voters,
}

/// Only where everything may happen, too.
pub(super) fn seldom(profile: Profile, cluster: &Cluster, topics: &[Topic]) -> BoxedStrategy<Seldom> {
    match profile {
        Profile::Standard | Profile::Long => {
            let faults = (handover(topics), quorum(cluster));
            let rest = (racks(), packing(topics), moving(cluster, topics), losing(topics));
            let last = (disks(topics), remaking(topics), releases(), stops(), voters());
            let drawn = (faults, rest, last).prop_map(|((handover, quorum), rest, last)| {
                let (racks, packing, moving, losing) = rest;
                let (disks, remaking, releases, stops, voters) = last;
                Seldom { handover, quorum, racks, packing, moving, losing, disks, remaking, releases, stops, voters }
            });
            drawn.boxed()
        }
        Profile::Calm | Profile::Nodes | Profile::Network | Profile::Disk => Just(Seldom::default()).boxed(),
    }
}

impl Seldom {
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        self.handover.add_to(scenario);
        self.stops.add_to(scenario);
        self.quorum.add_to(scenario);
        self.voters.add_to(scenario);
        self.racks.add_to(scenario);
        self.packing.add_to(scenario);
        self.moving.add_to(scenario);
        self.losing.add_to(scenario);
        self.disks.add_to(scenario);
        self.remaking.add_to(scenario);
        self.releases.add_to(scenario);
    }
}
