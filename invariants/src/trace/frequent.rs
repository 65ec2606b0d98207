//! Facts that come by the thousand: several for each record that is sent. A promise is shown those that it judges by, and no others.

use evidence::What;
use model::Event;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequent {
    Appended,
    Synced,
    HighWatermarkAdvanced,
    FollowerCounted,
    Acked,
    BatchSent,
    Burden,
    ProducerAppended,
}

impl Frequent {
    pub(crate) const ALL: &'static [Frequent] = &[
        Frequent::Appended,
        Frequent::Synced,
        Frequent::HighWatermarkAdvanced,
        Frequent::FollowerCounted,
        Frequent::Acked,
        Frequent::BatchSent,
        Frequent::Burden,
        Frequent::ProducerAppended,
    ];

    /// None for an entry of any other kind: it comes seldom, and everybody sees it.
    pub(crate) fn of(what: &What) -> Option<Frequent> {
        let What::Witnessed(event) = what else { return None };
        match event {
            Event::Appended { .. } => Some(Frequent::Appended),
            Event::Synced { .. } => Some(Frequent::Synced),
            Event::HighWatermarkAdvanced { .. } => Some(Frequent::HighWatermarkAdvanced),
            Event::FollowerCounted { .. } => Some(Frequent::FollowerCounted),
            Event::Acked { .. } => Some(Frequent::Acked),
            Event::BatchSent { .. } => Some(Frequent::BatchSent),
            Event::Burden { .. } => Some(Frequent::Burden),
            Event::ProducerAppended { .. } => Some(Frequent::ProducerAppended),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use evidence::{Entry, NodeName};
    use model::{BrokerId, LeaderEpoch, Offset, PartitionId, ProducerId, Time, TopicId};

    use super::super::{ConvergesAfterHealing, Promise, World, promises};
    use super::*;
    use crate::Expectations;

    /// One fact of each kind, of a partition that leads, follows and has records.
    fn facts() -> Vec<Event> {
        let partition = PartitionId { topic: TopicId(7), index: 0 };
        let (epoch, base, end, to) = (LeaderEpoch(1), Offset(0), Offset(1), Offset(1));
        vec![
            Event::Appended { partition, epoch, base, end, crc: 5 },
            Event::Synced { partition, end },
            Event::HighWatermarkAdvanced { partition, epoch, to },
            Event::FollowerCounted { partition, epoch, follower: BrokerId(2), end },
            Event::Acked { partition, epoch, base, end, acks: -1 },
            Event::BatchSent { partition, crc: 5 },
            Event::Burden { answers: 1, fetches: 1 },
            Event::ProducerAppended {
                partition,
                producer: ProducerId(7),
                producer_epoch: 0,
                first_sequence: 0,
                last_sequence: 0,
                base,
                end,
            },
        ]
    }

    fn all() -> Vec<Box<dyn Promise>> {
        let strictest = Expectations {
            claims: evidence::Claims::default(),
            flush_on_commit: true,
            producers_retry: false,
            unavailable_at_most: None,
        };
        let mut all = promises(&strictest);
        all.push(Box::new(ConvergesAfterHealing::default()));
        all
    }

    #[test]
    fn every_kind_is_somebodys_evidence() {
        let facts = facts();
        let kinds: Vec<_> = facts.iter().map(|event| Frequent::of(&What::Witnessed(event.clone()))).collect();
        assert_eq!(kinds, Frequent::ALL.iter().copied().map(Some).collect::<Vec<_>>());
        assert!(Frequent::ALL.iter().enumerate().all(|(number, kind)| *kind as usize == number));
        for kind in Frequent::ALL {
            assert!(all().iter().any(|promise| promise.frequent().contains(kind)));
        }
    }

    #[test]
    fn a_promise_counts_no_fact_that_it_is_not_shown() {
        for mut promise in all() {
            let mut world = World::new(false);
            for (index, event) in (0..).zip(facts()) {
                let entry =
                    Entry { index, time: Time(index), node: NodeName("broker 1".into()), what: What::Witnessed(event) };
                let node = world.node(&entry.node);
                let before = promise.judged();
                let is_shown = Frequent::of(&entry.what).is_none_or(|kind| promise.frequent().contains(&kind));
                let judged = promise.observe(&entry, node, &world);
                if !is_shown {
                    assert_eq!((judged, promise.judged()), (Ok(()), before), "{}: {:?}", promise.name(), entry.what);
                }
                world.apply(&entry, node);
            }
        }
    }
}
