//! Random racks: in some runs brokers stand in racks, and readers are served in theirs.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::BoxedStrategy;

use crate::scenario::Scenario;

const NAMES: [&str; 3] = ["north", "east", "south"];

/// Consumers are no more.
const READERS_MAX: usize = 3;

/// The racks of a random cluster, and who of the readers stands in which.
#[derive(Clone, Debug, Default)]
pub(super) struct Racks {
    names: Vec<String>,
    readers: Vec<Option<Index>>,
}

pub(super) fn racks() -> BoxedStrategy<Racks> {
    let readers = vec(weighted(0.8, any::<Index>()), READERS_MAX);
    let racks = (select(&[2, 3, 3][..]), readers).prop_map(|(count, readers)| Racks {
        names: NAMES.iter().take(count).map(|&name| name.to_owned()).collect(),
        readers,
    });
    prop_oneof![5 => Just(Racks::default()), 1 => racks].boxed()
}

impl Racks {
    pub(super) fn add_to(self, scenario: &mut Scenario) {
        for (consumer, rack) in scenario.consumers.iter_mut().zip(self.readers) {
            consumer.rack = rack.map(|rack| rack.get(&self.names).clone());
        }
        scenario.cluster.racks = self.names;
    }
}
