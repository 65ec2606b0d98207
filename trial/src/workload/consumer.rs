//! A consumer: reads every partition of its topics, and after the run goes on until it has read all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{ClientConfig, ConsumeError, ConsumerConfig, Position, TopicPartition};
use evidence::{Action, MicroOperation};
use host::Host;
use model::{Offset, Time};
use parking_lot::Mutex;
use scenarios::ReadFrom;
use sim::SimHost;
use tokio::sync::watch;

use super::{Ground, Identity, key_of, polled, sleep_until};
use crate::stage::ClientLife;

/// How long one poll waits for records.
const POLL_WAIT: Duration = Duration::from_secs(1);

/// How long a consumer works on what a poll brought.
const WORK: Duration = Duration::from_millis(100);

/// Where every partition ends, once the run is over: reading up to there is reading all.
pub(crate) type Ends = Option<Arc<BTreeMap<TopicPartition, Offset>>>;

/// One consumer of a run.
#[derive(Clone)]
pub(crate) struct Consuming {
    pub(crate) ground: Ground,
    pub(crate) plan: scenarios::Consumer,
    pub(crate) from: Time,
    /// None: until all is read.
    pub(crate) to: Option<Time>,
    pub(crate) ends: watch::Receiver<Ends>,
    pub(crate) life: ClientLife,
    /// Every process of the history that this consumer was.
    pub(crate) processes: Arc<Mutex<BTreeSet<u64>>>,
}

impl Consuming {
    pub(crate) async fn run(self, host: SimHost) -> Result<(), String> {
        let identity = Identity::new(&self.ground.recorder, self.life.clone());
        self.processes.lock().insert(identity.process());
        sleep_until(&host, self.from).await;
        let config = ClientConfig { rack: self.plan.rack.clone(), ..self.ground.client(&host) };
        let mut consumer = client::Consumer::new(host.clone(), ConsumerConfig::new(config));
        let partitions = self.ground.all_of(&self.plan.topics);
        let position = match self.plan.from {
            ReadFrom::Earliest => Position::Earliest,
            ReadFrom::Latest => Position::Latest,
        };
        let keys = Action::Assign(partitions.iter().map(key_of).collect());
        identity.invoke(&host, keys.clone());
        consumer.assign(partitions.iter().map(|partition| (partition.clone(), position)));
        identity.ok(&host, keys);
        while !self.is_done(&host, &consumer, &partitions) {
            poll(&identity, &host, &mut consumer, POLL_WAIT).await;
            // After the run there is nothing to do but to read.
            if self.ends.borrow().is_none() {
                host.sleep(WORK).await;
            }
        }
        Ok(())
    }

    fn is_done(&self, host: &SimHost, consumer: &client::Consumer<SimHost>, partitions: &[TopicPartition]) -> bool {
        if self.to.is_some_and(|to| to <= host.world_time()) {
            return true;
        }
        let ends = self.ends.borrow();
        ends.as_ref().is_some_and(|ends| has_read(consumer, partitions, ends))
    }
}

/// True if a consumer's positions are at the ends, or beyond.
pub(crate) fn has_read(
    consumer: &client::Consumer<SimHost>,
    partitions: &[TopicPartition],
    ends: &BTreeMap<TopicPartition, Offset>,
) -> bool {
    partitions.iter().all(|partition| {
        let end = ends.get(partition).copied().unwrap_or(Offset::ZERO);
        end == Offset::ZERO || consumer.position(partition).is_some_and(|position| end <= position)
    })
}

/// One poll, taken down.
pub(crate) async fn poll(
    identity: &Identity,
    host: &SimHost,
    consumer: &mut client::Consumer<SimHost>,
    wait_max: Duration,
) {
    let asked = Action::Poll(vec![MicroOperation::Poll]);
    identity.invoke(host, asked.clone());
    match consumer.poll(wait_max).await {
        Ok(batches) => identity.ok(host, Action::Poll(vec![polled(&batches)])),
        Err(error) => {
            identity.fail(host, asked, error.to_string());
            if let ConsumeError::Truncated { partition, .. } = &error {
                // It goes back by its own decision, as if it were assigned anew there.
                let keys = |of: &dyn Fn(&&TopicPartition) -> bool| {
                    Action::Assign(consumer.assignment().filter(of).map(key_of).collect())
                };
                for assign in [keys(&|other| *other != partition), keys(&|_| true)] {
                    identity.invoke(host, assign.clone());
                    identity.ok(host, assign);
                }
            }
        }
    }
}
