//! What holds for one topic on this node, as the code that goes by it reads it: the topic's own word, else the cluster's, else
//! this node's, else the default (`roles::controller::TopicSetting`).

use std::time::Duration;

use protocol::records::{Compression, Level, Recompression};
use roles::controller::{Image, Topic, TopicDefaults, TopicSetting};
use storage::{CleanupPolicy, LogConfig};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TopicSettings {
    /// `max.message.bytes`
    pub(crate) batch_bytes_max: usize,
    /// `min.insync.replicas`, however many replicas there are.
    pub(crate) in_sync_min: usize,
    /// `message.timestamp.type` is LogAppendTime.
    pub(crate) stamps_append_time: bool,
    /// `compression.type`; none: as producers do.
    pub(crate) recompression: Option<Recompression>,
    /// `file.delete.delay.ms`
    pub(crate) file_delete_delay: Duration,
    /// How each partition's log is kept, with nothing planted.
    pub(crate) log: LogConfig,
}

impl TopicSettings {
    pub(crate) fn of(image: &Image, topic: &Topic, defaults: &TopicDefaults) -> TopicSettings {
        let said = |name: &'static str| Said { image, topic, defaults, setting: setting(name) };
        let milliseconds = |name| Duration::from_millis(said(name).number());
        // Kafka's -1 means no limit, and is no number of this kind.
        let limit = |name| u64::try_from(said(name).number::<i64>()).ok();
        TopicSettings {
            batch_bytes_max: said("max.message.bytes").number(),
            in_sync_min: said("min.insync.replicas").number(),
            stamps_append_time: said("message.timestamp.type").value() == "LogAppendTime",
            recompression: recompression(said("compression.type").value(), |name| said(name).number()),
            file_delete_delay: milliseconds("file.delete.delay.ms"),
            log: LogConfig {
                segment_bytes: said("segment.bytes").number(),
                segment_age: milliseconds("segment.ms"),
                segment_index_bytes: said("segment.index.bytes").number(),
                index_interval_bytes: said("index.interval.bytes").number(),
                retention_bytes: limit("retention.bytes"),
                retention_age: limit("retention.ms").map(Duration::from_millis),
                delete_retention: milliseconds("delete.retention.ms"),
                min_cleanable_dirty_ratio: said("min.cleanable.dirty.ratio").number(),
                min_compaction_lag: milliseconds("min.compaction.lag.ms"),
                max_compaction_lag: limit("max.compaction.lag.ms")
                    .filter(|lag| *lag < i64::MAX as u64)
                    .map(Duration::from_millis),
                cleanup_policy: cleanup_policy(said("cleanup.policy").value()),
                ..LogConfig::default()
            },
        }
    }
}

/// What a level is that Kafka takes for the codec's own.
const USUAL_LEVELS: [i32; 3] = [-1, 9, 3];

fn recompression(word: &str, level: impl Fn(&'static str) -> i32) -> Option<Recompression> {
    let [gzip, lz4, zstd] = USUAL_LEVELS;
    let level_of = |name, usual| Some(level(name)).filter(|level| *level != usual).map_or(Level::Usual, Level::Of);
    let (codec, level) = match word {
        "uncompressed" => (Compression::None, Level::Usual),
        "gzip" => (Compression::Gzip, level_of("compression.gzip.level", gzip)),
        "snappy" => (Compression::Snappy, Level::Usual),
        "lz4" => (Compression::Lz4, level_of("compression.lz4.level", lz4)),
        "zstd" => (Compression::Zstd, level_of("compression.zstd.level", zstd)),
        _as_producers_do => return None,
    };
    Some(Recompression { codec, level })
}

fn cleanup_policy(words: &str) -> CleanupPolicy {
    match (words.contains("compact"), words.contains("delete")) {
        (true, true) => CleanupPolicy::CompactAndDelete,
        (true, false) => CleanupPolicy::Compact,
        (false, _) => CleanupPolicy::Delete,
    }
}

fn setting(name: &str) -> &'static TopicSetting {
    match TopicSetting::of_topic(name) {
        Some(setting) => setting,
        None => panic!("topics have no setting \"{name}\""),
    }
}

/// What is said of one setting.
struct Said<'a> {
    image: &'a Image,
    topic: &'a Topic,
    defaults: &'a TopicDefaults,
    setting: &'static TopicSetting,
}

impl<'a> Said<'a> {
    fn value(&self) -> &'a str {
        let sources = self.setting.sources(self.image, Some(self.topic), self.defaults);
        sources.first().map_or(self.setting.default, |(_, value)| value)
    }

    /// The first number that is said: a controller of another version may have allowed what is none here.
    fn number<T: std::str::FromStr>(&self) -> T {
        let sources = self.setting.sources(self.image, Some(self.topic), self.defaults);
        match sources.into_iter().find_map(|(_, value)| value.parse().ok()) {
            Some(number) => number,
            None => panic!("the default of {} is no number", self.setting.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_says_nothing_is_kept_as_logs_are_by_default() {
        let settings = TopicSettings::of(&Image::default(), &Topic::default(), &TopicDefaults::default());
        assert_eq!(settings.log, LogConfig::default());
        assert_eq!((settings.batch_bytes_max, settings.in_sync_min), (1_048_588, 1));
    }
}
