//! What a partition knows of the producers of its log: who they are, what of theirs comes again, who fell silent.

use std::collections::BTreeMap;
use std::time::Duration;

use host::{Disk, Host};
use model::{Admission, Bug, Event, Offset, Planted, ProducerId, ProducerStamp, Producers, SequenceError};
use storage::Log;

use super::{Partition, State};

/// How often silent producers are looked for (`producer.id.expiration.check.interval.ms` in Kafka).
const PRODUCERS_CHECK_INTERVAL: Duration = Duration::from_secs(600);

impl<H: Host> Partition<H> {
    /// What is known of the producers of its log.
    pub(crate) fn producers(&self) -> Producers {
        self.state.lock().log.producers().clone()
    }

    /// Says what is known of the producers, wherever it did not just come from a batch.
    pub(super) fn witness_producers(&self, log: &Log<H::Disk>) {
        let (start, end) = (log.start(), log.end());
        let digest = log.producers().since(start).digest();
        self.host.witness(Event::ProducersKnown { partition: self.id, start, end, digest });
    }

    /// Forgets producers that wrote nothing for `silence_max`.
    pub(super) fn forget_silent_producers(&self, state: &mut State<H>, silence_max: Duration) {
        let now = self.host.now();
        if now < state.producers_checked + PRODUCERS_CHECK_INTERVAL.min(silence_max) {
            return;
        }
        state.producers_checked = now;
        let mut heard = BTreeMap::new();
        for (id, end) in state.log.producers().ends() {
            let before = state.producers_heard.get(&id).filter(|(known, _)| *known == end);
            heard.insert(id, before.copied().unwrap_or((end, now)));
        }
        for (&producer, _) in heard.iter().filter(|(_, (_, since))| *since + silence_max <= now) {
            model::reached!("a producer was silent for so long that it was forgotten");
            state.log.forget_producer(producer);
            self.host.witness(Event::ProducerForgotten { partition: self.id, producer });
        }
        state.producers_heard = heard;
    }
}

/// What a producer's batch is to the log, unless a planted fault says otherwise. A log that never let a record go knows every producer that
/// was not silent for too long. Of another log nobody can tell: a follower that went on with an empty one, behind what its leader had
/// deleted, knows none whose records were all gone. To take any number for the first there, as Kafka does since 2.5, would be to write
/// twice what was deleted, or a batch before the one that it follows.
pub(super) fn admit<D: Disk>(
    planted: Planted,
    log: &Log<D>,
    stamp: &ProducerStamp,
) -> Result<Admission, SequenceError> {
    let ProducerStamp { id: producer, first_sequence: asked, .. } = *stamp;
    let log_start = log.start();
    if asked != 0 && Offset::ZERO < log_start && !log.producers().knows(producer) {
        model::reached!("a leader was asked to go on for a producer that it does not know");
        return Err(SequenceError::UnknownProducer { producer, asked, log_start });
    }
    match log.producers().admit(stamp) {
        Err(SequenceError::OutOfOrder { .. }) if planted.has(Bug::GapInSequences) => Ok(Admission::New),
        Ok(Admission::Again { .. }) if planted.has(Bug::NoRepeatedBatches) => {
            let ProducerStamp { id: producer, epoch, first_sequence: asked, last_sequence, .. } = *stamp;
            Err(SequenceError::OutOfOrder { producer, epoch, expected: model::sequence_after(last_sequence, 1), asked })
        }
        admission => admission,
    }
}

pub(super) fn forget_all<D: Disk>(log: &mut Log<D>) {
    let producers: Vec<ProducerId> = log.producers().ends().map(|(id, _)| id).collect();
    producers.into_iter().for_each(|id| log.forget_producer(id));
}
