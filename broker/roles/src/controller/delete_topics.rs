//! Topics are deleted: each by itself, found or refused. Brokers give up its partitions as they hear of it.

use model::TopicId;

use super::draft::Draft;
use super::record::RemoveTopic;
use super::{Controller, Decision, Record, Refusal, Reply, TopicReference};

impl Controller {
    pub(super) fn delete_topics(&self, topics: &[TopicReference]) -> Decision {
        let mut draft = self.draft();
        let found: Vec<_> = topics.iter().map(|topic| find(&draft, topic)).collect();
        let results = found.iter().map(|result| {
            let (id, name) = result.clone()?;
            if 1 < found.iter().flatten().filter(|(other, _)| *other == id).count() {
                return Err(Refusal::InvalidRequest(format!("topic \"{name}\" is named twice")));
            }
            Ok((id, name))
        });
        let results: Vec<_> = results.collect();
        for (topic, _) in results.iter().flatten() {
            draft.push(Record::RemoveTopic(RemoveTopic { topic: *topic }));
        }
        Decision { records: draft.records, reply: Reply::TopicsDeleted(results) }
    }
}

fn find(draft: &Draft, topic: &TopicReference) -> Result<(TopicId, String), Refusal> {
    let found = match topic {
        TopicReference::Name(name) => draft.image.topic_by_name(name).ok_or(Refusal::UnknownTopicOrPartition)?,
        TopicReference::Id(id) => draft.image.topics.get(id).ok_or_else(|| {
            model::reached!("an order to delete a topic came when that was gone");
            Refusal::UnknownTopicId
        })?,
    };
    Ok((found.id, found.name.clone()))
}
