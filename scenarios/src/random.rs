//! Random scenarios, swarm style: each enables some kinds of fault and leaves the others out.

use crate::cluster::Cluster;
use crate::expect::Expect;
use crate::scenario::Scenario;

/// What a random scenario may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Every kind of fault that the world has.
    #[default]
    Standard,
    /// Nothing goes wrong.
    Calm,
    /// Crashes, power loss, restarts and pauses.
    Nodes,
    /// Partitions, holds, slow and lossy links.
    Network,
}

/// The scenario of a seed, always the same.
pub fn random(seed: u64, profile: Profile) -> Scenario {
    let _ = profile;
    Scenario {
        title: format!("Random scenario {seed}"),
        teaches: String::new(),
        seed: Some(seed),
        cluster: Cluster::default(),
        topics: Vec::new(),
        producers: Vec::new(),
        consumers: Vec::new(),
        faults: Vec::new(),
        expect: Expect::default(),
    }
}
