//! Indexes equal a scan: what a log knows of its batches after a start is what its batches say.
//!
//! Broken if a log that was just opened, from its index files and the checkpoint of its leader epochs, has an entry that a walk over
//! the batches does not give, or a batch that is not what its checksum says: a torn tail goes before anybody is told of a log. Nothing is asked of a log of which the world itself destroyed a part on this node.

use evidence::{Entry, What};
use model::Event;

use super::{NodeId, Promise, World};

#[derive(Default)]
pub(super) struct IndexesEqualAScan {
    judged: u64,
}

impl Promise for IndexesEqualAScan {
    fn name(&self) -> &'static str {
        "indexes equal a scan"
    }

    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String> {
        match entry.what {
            // What an index is for; a run that compared none has still shown that it is told.
            What::Witnessed(Event::Recovered { .. }) => {
                self.judged += 1;
                Ok(())
            }
            What::Witnessed(Event::IndexesCompared { partition, are_equal }) => {
                self.judged += 1;
                let is_hurt = before.replica(partition, node).is_some_and(|replica| replica.is_hurt);
                if are_equal || is_hurt {
                    return Ok(());
                }
                Err(format!(
                    "{partition}: {} opened its log, and an index or the leader epochs differ from its batches, or one of these is torn",
                    before.name(node)
                ))
            }
            _ => Ok(()),
        }
    }

    fn judged(&self) -> u64 {
        self.judged
    }
}
