//! The task that writes to one broker: requests out in order, several under way, outcomes back.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use host::{Host, timeout};
use model::{Endpoint, Offset, Time};
use protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use protocol::messages::{ProduceRequest, ProduceResponse, topic_name};
use protocol::{ErrorCode, decode_response};
use tokio::sync::mpsc;

use super::batch::{Batch, Outcome};
use super::{Acks, Reason};
use crate::node::Node;
use crate::{CallError, Cluster};

/// The batches of one request and what became of them.
pub(super) struct Done {
    pub(super) endpoint: Endpoint,
    pub(super) outcomes: Vec<(Batch, Outcome)>,
}

pub(super) struct ProduceConnection<H: Host> {
    pub(super) cluster: Cluster<H>,
    pub(super) endpoint: Endpoint,
    pub(super) acks: Acks,
    pub(super) in_flight_max: usize,
    pub(super) done: mpsc::UnboundedSender<Done>,
}

/// Batches that wait for an answer, and until when.
struct Unanswered {
    batches: Vec<Batch>,
    version: i16,
    deadline: Time,
}

impl<H: Host> ProduceConnection<H> {
    pub(super) async fn run(self, mut requests: mpsc::UnboundedReceiver<Vec<Batch>>) {
        loop {
            let Some(batches) = requests.recv().await else { return };
            let node = match self.cluster.connect(&self.endpoint).await {
                Ok(node) => node,
                Err(error) => {
                    self.fail(batches, error);
                    continue;
                }
            };
            self.serve(node, batches, &mut requests).await;
        }
    }

    /// Serves requests over one connection until it fails; then everything under way is in doubt.
    async fn serve(&self, mut node: Node<H>, first: Vec<Batch>, requests: &mut mpsc::UnboundedReceiver<Vec<Batch>>) {
        enum Input {
            Answer(Result<bytes::Bytes, CallError>),
            Request(Option<Vec<Batch>>),
        }

        let mut unanswered = VecDeque::new();
        let mut next = Some(first);
        let error = loop {
            if let Some(batches) = next.take()
                && let Err(error) = self.send(&mut node, batches, &mut unanswered).await
            {
                break error;
            }
            let deadline = unanswered.front().map(|oldest: &Unanswered| oldest.deadline);
            let input = tokio::select! {
                biased;
                answer = node.channel.receive(), if !unanswered.is_empty() => Input::Answer(answer.map(|(_, frame)| frame)),
                batches = requests.recv(), if unanswered.len() < self.in_flight_max => Input::Request(batches),
                () = self.cluster.host().sleep_until(deadline.unwrap_or_default()), if deadline.is_some() => {
                    Input::Answer(Err(CallError::Timeout))
                }
            };
            match input {
                Input::Request(Some(batches)) => next = Some(batches),
                // The producer is gone, and nobody waits for an answer.
                Input::Request(None) => return,
                Input::Answer(Err(error)) => break error,
                Input::Answer(Ok(frame)) => {
                    let Some(Unanswered { batches, version, .. }) = unanswered.pop_front() else {
                        break CallError::Malformed("an answer to nothing".into());
                    };
                    match decode_response::<ProduceRequest>(version, frame) {
                        Ok(answer) => self.answer(batches, answer),
                        Err(error) => {
                            let error = CallError::Malformed(error.to_string());
                            self.fail(batches, error.clone());
                            break error;
                        }
                    }
                }
            }
        };
        for Unanswered { batches, .. } in unanswered {
            self.fail(batches, error.clone());
        }
    }

    /// Sends one request. An error ends the connection; the request itself is then dealt with.
    async fn send(
        &self,
        node: &mut Node<H>,
        batches: Vec<Batch>,
        unanswered: &mut VecDeque<Unanswered>,
    ) -> Result<(), CallError> {
        let wait_max = self.cluster.config().request_timeout;
        let Ok(version) = node.versions.of::<ProduceRequest>() else {
            let error = CallError::Request("no common version of Produce".into());
            self.fail(batches, error.clone());
            return Err(error);
        };
        let request = request(&batches, self.acks, wait_max);
        let host = self.cluster.host();
        let deadline = host.now() + wait_max;
        let sent = async {
            match self.acks {
                Acks::None => node.channel.send_unanswered(version, &request).await,
                Acks::Leader | Acks::All => node.channel.send(version, &request).await.map(|_correlation_id| ()),
            }
        };
        match timeout(host, wait_max, sent).await.unwrap_or(Err(CallError::Timeout)) {
            Err(error) => {
                self.fail(batches, error.clone());
                Err(error)
            }
            Ok(()) if self.acks == Acks::None => {
                self.report(batches.into_iter().map(|batch| (batch, Outcome::Written(None))).collect());
                Ok(())
            }
            Ok(()) => {
                unanswered.push_back(Unanswered { batches, version, deadline });
                Ok(())
            }
        }
    }

    fn answer(&self, batches: Vec<Batch>, answer: ProduceResponse) {
        let mut told: Vec<(&str, &PartitionProduceResponse)> = Vec::with_capacity(batches.len());
        for TopicProduceResponse { name, partition_responses, .. } in &answer.responses {
            told.extend(partition_responses.iter().map(|partition| (name.as_str(), partition)));
        }
        let outcome = |(number, batch): (usize, Batch)| {
            let is_of_batch = |(topic, answer): &&(&str, &PartitionProduceResponse)| {
                (*topic, answer.index) == (&*batch.partition.topic, batch.partition.partition)
            };
            // Answers have the order of what was asked, with all brokers that we know.
            let found = told.get(number).filter(is_of_batch).or_else(|| told.iter().find(is_of_batch));
            let outcome = match found.map(|(_, answer)| (answer, ErrorCode::try_from_code(answer.error_code))) {
                Some((answer, None)) => Outcome::Written(Some(Offset(answer.base_offset))),
                Some((_, Some(code))) => Outcome::Failed(Reason::Refused(code)),
                None => Outcome::Failed(Reason::Missing),
            };
            (batch, outcome)
        };
        let outcomes = batches.into_iter().enumerate().map(outcome).collect();
        self.report(outcomes);
    }

    fn fail(&self, batches: Vec<Batch>, error: CallError) {
        let outcome = |batch| (batch, Outcome::Failed(Reason::Call(error.clone())));
        self.report(batches.into_iter().map(outcome).collect());
    }

    fn report(&self, outcomes: Vec<(Batch, Outcome)>) {
        // If the producer is gone, so is everybody who waits.
        let _ = self.done.send(Done { endpoint: self.endpoint.clone(), outcomes });
    }
}

/// One request; it holds one batch of each partition at most.
fn request(batches: &[Batch], acks: Acks, wait_max: Duration) -> ProduceRequest {
    let mut topics = BTreeMap::<_, Vec<_>>::new();
    for batch in batches {
        let data = PartitionProduceData::default()
            .with_index(batch.partition.partition)
            .with_records(Some(batch.bytes.clone()));
        topics.entry(&batch.partition.topic).or_default().push(data);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        TopicProduceData::default().with_name(topic_name(name)).with_partition_data(partitions)
    });
    let acks = match acks {
        Acks::None => 0,
        Acks::Leader => 1,
        Acks::All => -1,
    };
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(wait_max.as_millis() as i32)
        .with_topic_data(topics.collect())
}
