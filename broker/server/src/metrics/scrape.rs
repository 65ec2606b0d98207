//! One scrape: everything that a node counts and knows, in OpenMetrics' text.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use host::Host;
use model::BrokerId;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use protocol::SUPPORTED;
use roles::controller::{Image, Partition};

use super::Count;
use crate::node::Node;
use crate::partition::Standing;
use crate::throttle::Throttle;
use crate::topic_settings::TopicSettings;

pub(super) fn text<H: Host>(node: &Arc<Node<H>>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(node.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

struct Scrape<H: Host>(Arc<Node<H>>);

impl<H: Host> fmt::Debug for Scrape<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").field("node", &self.0.config.node_id).finish()
    }
}

/// The labels of one partition.
struct Place {
    topic: String,
    partition: String,
}

impl Place {
    fn labels(&self) -> [(&'static str, &str); 2] {
        [("topic", &self.topic), ("partition", &self.partition)]
    }
}

impl<H: Host> Collector for Scrape<H> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page(encoder);
        let (node, image) = (&*self.0, self.0.image());
        node_wide(&mut page, node)?;
        logs(&mut page, node, &image)?;
        if node.config.is_broker {
            replicas(&mut page, node, &image)?;
        }
        cluster(&mut page, node, &image)
    }
}

fn node_wide<H: Host>(page: &mut Page<'_>, node: &Node<H>) -> fmt::Result {
    let metrics = &node.metrics;
    let connections = metrics.connections.load(Ordering::Relaxed);
    page.gauge("kafka_server_socketservermetrics_connection_count", "connections that are open", connections)?;
    let refused = &metrics.connections_refused;
    page.counter("kafka_server_socketservermetrics_connection_refused", "connections beyond max.connections", refused)?;
    let mut times = page.0.encode_descriptor(
        "kafka_network_requestmetrics_totaltime_seconds",
        "from the arrival of a request to the departure of its answer",
        None,
        MetricType::Histogram,
    )?;
    for api in SUPPORTED {
        if let Some(histogram) = metrics.requests.get(&(api.key as i16)) {
            histogram.encode(times.encode_family(&[("request", format!("{:?}", api.key))])?)?;
        }
    }
    let name = "kafka_log_logflushstats_logflush_seconds";
    let flushes = page.0.encode_descriptor(name, "syncs of partitions' logs", None, MetricType::Histogram)?;
    metrics.flushes.encode(flushes)
}

/// The logs that this broker holds, by partition.
fn logs<H: Host>(page: &mut Page<'_>, node: &Node<H>, image: &Image) -> fmt::Result {
    let name_of = |topic| image.topics.get(&topic).map(|topic| topic.name.clone());
    let partitions: Vec<_> = node
        .partitions()
        .into_iter()
        .filter_map(|partition| {
            let place = Place { topic: name_of(partition.id.topic)?, partition: partition.id.index.to_string() };
            let standing = partition.standing();
            Some((place, partition, standing))
        })
        .collect();
    let mut counters = |name, help, get: fn(&crate::metrics::Traffic) -> &Count| {
        page.counters(name, help, partitions.iter().map(|(place, partition, _)| (place, get(&partition.traffic).get())))
    };
    counters("kafka_server_brokertopicmetrics_messagesin", "records from producers", |traffic| &traffic.records_in)?;
    counters("kafka_server_brokertopicmetrics_bytesin", "bytes from producers", |traffic| &traffic.bytes_in)?;
    counters("kafka_server_brokertopicmetrics_bytesout", "bytes to consumers", |traffic| &traffic.bytes_out)?;
    let from_leaders = "bytes from leaders that this broker follows";
    counters("kafka_server_brokertopicmetrics_replicationbytesin", from_leaders, |one| &one.replication_bytes_in)?;
    let to_followers = "bytes to followers of this broker";
    counters("kafka_server_brokertopicmetrics_replicationbytesout", to_followers, |one| &one.replication_bytes_out)?;

    let mut gauges = |name, help, get: fn(&Standing) -> i64| {
        page.gauges(name, help, partitions.iter().map(|(place, _, standing)| (place, get(standing))))
    };
    gauges("kafka_log_log_size", "bytes of the log's segments", |log| log.bytes as i64)?;
    gauges("kafka_log_log_numlogsegments", "segments of the log", |log| log.segments as i64)?;
    gauges("kafka_log_log_logstartoffset", "the log's first offset", |log| log.start.0)?;
    gauges("kafka_log_log_logendoffset", "the offset after the log's last", |log| log.end.0)?;
    gauges("kafka_log_log_highwatermark", "up to where the log is committed", |log| log.high_watermark.0)?;
    let lag = "records that the leader has committed and this follower has not";
    gauges("kafka_server_fetcherlagmetrics_consumerlag", lag, |log| log.lag)?;
    let most = partitions.iter().map(|(_, _, log)| log.lag).max().unwrap_or(0);
    page.gauge("kafka_server_replicafetchermanager_maxlag", "the most that this broker lags in any partition", most)
}

/// What the metadata says of the partitions that this broker holds.
fn replicas<H: Host>(page: &mut Page<'_>, node: &Node<H>, image: &Image) -> fmt::Result {
    let id = node.config.node_id;
    let (mut held, mut led, mut offline, mut lacking, mut below, mut at, mut moving) = (0, 0, 0, 0, 0, 0, 0);
    for topic in image.topics.values() {
        let settings = TopicSettings::of(image, topic, &node.config.topic_defaults);
        for partition in topic.partitions.iter().filter(|partition| partition.replicas.contains(&id)) {
            held += 1;
            offline += i64::from(partition.leader.is_none());
            if partition.leader != Some(id) {
                continue;
            }
            let wanted = settings.in_sync_min.clamp(1, partition.replicas.len().max(1));
            led += 1;
            lacking += i64::from(is_under_replicated(partition));
            below += i64::from(partition.in_sync.len() < wanted);
            at += i64::from(partition.in_sync.len() == wanted);
            moving += i64::from(partition.is_moving());
        }
    }
    page.gauge("kafka_server_replicamanager_partitioncount", "partitions that this broker holds", held)?;
    page.gauge("kafka_server_replicamanager_leadercount", "partitions that it leads", led)?;
    let lacks = "partitions that it leads and whose replicas are not all in sync";
    page.gauge("kafka_server_replicamanager_underreplicatedpartitions", lacks, lacking)?;
    let too_few = "partitions that it leads and that have fewer in sync than min.insync.replicas";
    page.gauge("kafka_server_replicamanager_underminisrpartitioncount", too_few, below)?;
    let just_enough = "partitions that it leads and that have just min.insync.replicas in sync";
    page.gauge("kafka_server_replicamanager_atminisrpartitioncount", just_enough, at)?;
    page.gauge(
        "kafka_server_replicamanager_offlinereplicacount",
        "replicas here of partitions without a leader",
        offline,
    )?;
    let failed = node.directories.offline_count();
    page.gauge(
        "kafka_log_logmanager_offlinelogdirectorycount",
        "log directories that cannot be used any more",
        failed,
    )?;
    page.gauge("kafka_server_replicamanager_reassigningpartitions", "partitions that it leads and that move", moving)?;
    throttles(page, node, image)?;
    cleaner(page, node)?;
    let metrics = &node.metrics;
    let (shrinks, expands) = ("in-sync sets that lost a member", "in-sync sets that gained one");
    page.counter("kafka_server_replicamanager_isrshrinks", shrinks, &metrics.in_sync_shrinks)?;
    page.counter("kafka_server_replicamanager_isrexpands", expands, &metrics.in_sync_expands)?;
    let unclean = "times that this broker was made leader without having been in sync";
    page.counter("kafka_controller_controllerstats_uncleanleaderelections", unclean, &metrics.unclean_elections)
}

/// Compaction, which goes on behind everybody's back.
fn cleaner<H: Host>(page: &mut Page<'_>, node: &Node<H>) -> fmt::Result {
    let (max_dirty_percent, uncleanable, looked) = node.metrics.cleaner.last_look();
    let percent = "how dirty the dirtiest log was that was due for compaction at the last look; 0: none was";
    page.gauge("kafka_log_logcleanermanager_max_dirty_percent", percent, max_dirty_percent)?;
    let alone = "logs that are not compacted until the next start, since their records make no sense";
    page.gauge("kafka_log_logcleanermanager_uncleanable_partitions_count", alone, uncleanable)?;
    let since = node.host.now().since(looked).as_millis();
    let last = "milliseconds since the cleaner last looked for a log to compact";
    page.gauge("kafka_log_logcleanermanager_time_since_last_run_ms", last, i64::try_from(since).unwrap_or(i64::MAX))?;
    page.counter("kafka_log_logcleaner_runs", "logs that were compacted to their end", &node.metrics.cleaner.runs)?;
    let read = "bytes that compaction has read";
    page.counter("kafka_log_logcleaner_readbytes", read, &node.metrics.cleaner.read_bytes)
}

/// Replication that is throttled (KIP-73): the limit, what passed under it, and the replicas that it holds back at this moment.
fn throttles<H: Host>(page: &mut Page<'_>, node: &Node<H>, image: &Image) -> fmt::Result {
    let (id, now) = (node.config.node_id, node.host.now());
    let limit =
        |throttle: &Throttle| throttle.bytes_per_second().map_or(-1, |rate| i64::try_from(rate).unwrap_or(i64::MAX));
    let is_closed = |throttle: &Throttle| throttle.room(now) == Some(0);
    let (sends, fetches) = (&node.throttles.leader, &node.throttles.follower);
    let (mut kept_waiting, mut waiting) = (0, 0);
    for partition in node.partitions() {
        let Some(known) = image.partition(partition.id) else { continue };
        let out_of_sync = known.replicas.iter().filter(|replica| !known.in_sync.contains(replica)).count();
        if known.leader == Some(id) && partition.throttled().as_leader && is_closed(sends) {
            kept_waiting += out_of_sync;
        }
        let is_out_of_sync = known.leader != Some(id) && !known.in_sync.contains(&id);
        waiting += usize::from(is_out_of_sync && partition.throttled().as_follower && is_closed(fetches));
    }
    let no_limit = "bytes a second at most for replicas that are named and out of sync; -1: no limit";
    page.gauge("kafka_server_leaderreplication_throttled_rate", no_limit, limit(sends))?;
    page.gauge("kafka_server_followerreplication_throttled_rate", no_limit, limit(fetches))?;
    page.counter(
        "kafka_server_leaderreplication_bytes",
        "bytes sent to such replicas while there was a limit",
        &sends.passed,
    )?;
    page.counter(
        "kafka_server_followerreplication_bytes",
        "bytes fetched by such replicas while there was a limit",
        &fetches.passed,
    )?;
    let held = "such replicas that are held back at this moment";
    page.gauge("kafka_server_leaderreplication_heldback", held, kept_waiting)?;
    page.gauge("kafka_server_followerreplication_heldback", held, waiting)
}

/// The replicas that a move brings are not missed while it goes on.
fn is_under_replicated(partition: &Partition) -> bool {
    let wanted = partition.replicas.iter().filter(|replica| !partition.adding.contains(replica));
    wanted.into_iter().any(|replica| !partition.in_sync.contains(replica))
}

/// The quorum as this node knows it; and the cluster as a whole, told by the active controller alone, so that sums count it once.
fn cluster<H: Host>(page: &mut Page<'_>, node: &Node<H>, image: &Image) -> fmt::Result {
    let leader = node.metadata.leader().map(|(leader, _)| leader);
    let is_active = leader == Some(node.config.node_id);
    page.gauge(
        "kafka_server_raft_metrics_current_leader",
        "the active controller; -1 if none is known",
        leader.map_or(-1, |BrokerId(id)| id),
    )?;
    page.gauge("kafka_server_raft_metrics_current_epoch", "the quorum's epoch", node.metadata.epoch().0)?;
    page.gauge("kafka_server_raft_metrics_high_watermark", "up to where metadata is applied here", image.end.0)?;
    page.gauge(
        "kafka_controller_kafkacontroller_activecontrollercount",
        "1 if this node is the active controller",
        i32::from(is_active),
    )?;
    if !is_active {
        return Ok(());
    }
    let fenced = image.brokers.values().filter(|registration| registration.fenced).count();
    page.gauge(
        "kafka_controller_kafkacontroller_activebrokercount",
        "brokers that are not fenced",
        image.brokers.len() - fenced,
    )?;
    page.gauge("kafka_controller_kafkacontroller_fencedbrokercount", "brokers that are fenced", fenced)?;
    let partitions = || image.topics.values().flat_map(|topic| &topic.partitions);
    page.gauge("kafka_controller_kafkacontroller_globaltopiccount", "topics", image.topics.len())?;
    page.gauge("kafka_controller_kafkacontroller_globalpartitioncount", "partitions", partitions().count())?;
    let offline = partitions().filter(|partition| partition.leader.is_none()).count();
    page.gauge("kafka_controller_kafkacontroller_offlinepartitionscount", "partitions without a leader", offline)?;
    let elsewhere = partitions().filter(|partition| partition.leader != partition.replicas.first().copied()).count();
    let help = "partitions that their preferred replica does not lead";
    page.gauge("kafka_controller_kafkacontroller_preferredreplicaimbalancecount", help, elsewhere)
}

/// The page on its way.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl TryInto<i64>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value.try_into().unwrap_or(i64::MAX))
    }

    fn counter(&mut self, name: &str, help: &str, count: &Count) -> fmt::Result {
        encode_count(&mut self.0.encode_descriptor(name, help, None, MetricType::Counter)?, count.get())
    }

    fn gauges<'p>(&mut self, name: &str, help: &str, values: impl Iterator<Item = (&'p Place, i64)>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (place, value) in values {
            family.encode_family(&place.labels())?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counters<'p>(&mut self, name: &str, help: &str, values: impl Iterator<Item = (&'p Place, u64)>) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (place, value) in values {
            encode_count(&mut family.encode_family(&place.labels())?, value)?;
        }
        Ok(())
    }
}

fn encode_count(metric: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, f64>(&count, None)
}
