"""What administrators do, through librdkafka's and kafka-python's own calls, against three real brokers.

Settings of topics are described with who says them, changed one by one and taken back; lists grow; wrong ones are refused. Records
carry the leader's time where a topic says so, and are packed as it wants them. Topics get partitions, are deleted while a producer writes, and made again.
"""

import argparse
import json
import subprocess
import tempfile
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    NewPartitions,
    NewTopic,
    ResourceType,
)
from kafka import KafkaAdminClient

from cluster import Cluster


def done(futures):
    """The one result of a call about one thing."""
    (future,) = futures.values()
    return future.result(timeout=20)


def until(what, seconds=20):
    """Tries until it is true: brokers hear of changes one after the other, and one that has not heard says so."""
    deadline = time.monotonic() + seconds
    while True:
        why = None
        try:
            if what():
                return
        except KafkaException as error:
            why = error
        assert time.monotonic() < deadline, f"it never came true: {why}"
        time.sleep(0.1)


def change(admin, topic, name, operation, value=None):
    entry = ConfigEntry(name, value, incremental_operation=operation)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]))


def settings(admin, topic):
    return done(admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))


def refused(call, error):
    try:
        call()
    except KafkaException as exception:
        assert exception.args[0].name() == error, exception
    else:
        raise AssertionError(f"not refused with {error}")


def settings_change(admin):
    own = settings(admin, "orders")["min.insync.replicas"]
    assert (own.value, own.source) == ("2", ConfigSource.STATIC_BROKER_CONFIG.value), own
    assert settings(admin, "orders")["retention.ms"].is_default
    change(admin, "orders", "retention.ms", AlterConfigOpType.SET, "3600000")
    until(lambda: settings(admin, "orders")["retention.ms"].value == "3600000")
    assert settings(admin, "orders")["retention.ms"].source == ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    change(admin, "orders", "retention.ms", AlterConfigOpType.DELETE)
    until(lambda: settings(admin, "orders")["retention.ms"].value == "604800000")
    change(admin, "orders", "cleanup.policy", AlterConfigOpType.APPEND, "compact")
    until(lambda: settings(admin, "orders")["cleanup.policy"].value == "delete,compact")
    change(admin, "orders", "cleanup.policy", AlterConfigOpType.SUBTRACT, "compact")
    until(lambda: settings(admin, "orders")["cleanup.policy"].value == "delete")
    refused(lambda: change(admin, "orders", "retention.ms", AlterConfigOpType.SET, "soon"), "INVALID_CONFIG")
    refused(lambda: change(admin, "orders", "colour", AlterConfigOpType.SET, "blue"), "INVALID_CONFIG")
    refused(lambda: change(admin, "nowhere", "retention.ms", AlterConfigOpType.SET, "5"), "UNKNOWN_TOPIC_OR_PART")
    rate = "leader.replication.throttled.rate"
    throttle = ConfigEntry(rate, "1000000", incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.BROKER, "1", incremental_configs=[throttle])]))
    described = lambda node: done(admin.describe_configs([ConfigResource(ResourceType.BROKER, node)]))[rate]
    until(lambda: described("1").value == "1000000")
    assert described("1").source == ConfigSource.DYNAMIC_BROKER_CONFIG.value and described("2").is_default
    change(admin, "orders", "leader.replication.throttled.replicas", AlterConfigOpType.APPEND, "0:1,0:2")
    until(lambda: settings(admin, "orders")["leader.replication.throttled.replicas"].value == "0:1,0:2")
    node = done(admin.describe_configs([ConfigResource(ResourceType.BROKER, "1")]))
    assert node["node.id"].is_read_only and not node["log.retention.ms"].is_read_only


def leaders_time(admin, bootstrap):
    done(admin.create_topics([NewTopic("stamped", 1, 3, config={"message.timestamp.type": "LogAppendTime"})]))
    before = time.time() * 1000
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce("stamped", b"now", timestamp=1)
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition("stamped", 0, 0)])
    (message,) = consumer.consume(1, timeout=20)
    kind, stamp = message.timestamp()
    assert kind == 2 and before - 1000 < stamp < time.time() * 1000 + 1000, (kind, stamp)
    consumer.close()


def topics_grow_and_go(admin, bootstrap):
    done(admin.create_partitions([NewPartitions("orders", 5)]))
    until(lambda: len(admin.list_topics("orders").topics["orders"].partitions) == 5)
    refused(lambda: done(admin.create_partitions([NewPartitions("orders", 5)])), "INVALID_PARTITIONS")

    producer = Producer({"bootstrap.servers": bootstrap, "message.timeout.ms": 3000})
    outcomes = []
    for number in range(2000):
        producer.produce("orders", str(number).encode(), on_delivery=lambda error, _: outcomes.append(error))
        if number == 1000:
            producer.poll(0.5)
            done(admin.delete_topics(["orders"]))
    producer.flush(20)
    assert len(outcomes) == 2000, "whoever waited was answered"
    until(lambda: "orders" not in admin.list_topics().topics)
    refused(lambda: done(admin.delete_topics(["orders"])), "UNKNOWN_TOPIC_OR_PART")
    done(admin.create_topics([NewTopic("orders", 1, 3)]))
    until(lambda: len(admin.list_topics("orders").topics["orders"].partitions) == 1)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
    until(lambda: consumer.get_watermark_offsets(TopicPartition("orders", 0), timeout=5) == (0, 0))
    consumer.close()


CODECS = {"none", "gzip", "snappy", "lz4", "zstd"}


def codecs_of(cluster, topic):
    """The codec of every batch that a broker keeps, as its log says."""
    (log,) = cluster.directory.glob(f"broker-1/data/{topic}-0")
    dump = subprocess.run([cluster.binary, "log", "dump", str(log), "--json"], check=True, capture_output=True, text=True)
    return [batch["compression"] for batch in map(json.loads, dump.stdout.splitlines()) if "compression" in batch]


def codecs(admin, cluster):
    """Every codec of a producer comes back as it was, kept as it came or as its topic wants it."""
    bootstrap = cluster.bootstrap
    for wanted in ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]:
        topic = f"kept-{wanted}"
        done(admin.create_topics([NewTopic(topic, 1, 3, config={"compression.type": wanted})]))
        until(lambda: topic in admin.list_topics().topics)
        sent = []
        for codec in sorted(CODECS):
            producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": True})
            values = [f"{codec} {number} {'x' * 1000}".encode() for number in range(50)]
            for value in values:
                producer.produce(topic, value)
            assert producer.flush(20) == 0
            sent += values
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, 0, 0)])
        read = []
        until(lambda: read.extend(consumer.consume(100, timeout=1)) or len(read) == len(sent))
        assert [message.value() for message in read] == sent, topic
        consumer.close()
        kept = set(codecs_of(cluster, topic))
        # librdkafka sends lz4 only to brokers that have consumer groups, and nothing compressed to others; it reads it from any.
        expected = CODECS - {"lz4"} if wanted == "producer" else {wanted.replace("uncompressed", "none")}
        assert kept - {"lz4"} == expected - {"lz4"} and expected <= kept, (topic, kept)
    refused(lambda: change(admin, "kept-gzip", "compression.type", AlterConfigOpType.SET, "zip"), "INVALID_CONFIG")
    # A few kilobytes that would become 140 MB.
    bomb = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd", "message.max.bytes": 200 << 20})
    outcomes = []
    bomb.produce("kept-producer", bytes(140 << 20), on_delivery=lambda error, _: outcomes.append(error))
    bomb.flush(60)
    assert [error.name() for error in outcomes] == ["MSG_SIZE_TOO_LARGE"], outcomes


def another_client(bootstrap):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    assert len(admin.describe_cluster()["brokers"]) == 3
    assert "orders" in admin.list_topics()
    quorum = admin.describe_metadata_quorum()
    (partition,) = quorum["topics"][0]["partitions"]
    assert sorted(voter["replica_id"] for voter in partition["current_voters"]) == [1, 2, 3], quorum
    kept = admin.describe_log_dirs()
    assert len(kept) == 3 and all('"orders"' in json.dumps(broker, default=str) for broker in kept), kept
    admin.delete_topics(["orders"])
    until(lambda: "orders" not in admin.list_topics())
    admin.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    arguments = parser.parse_args()
    # A producer that asks for a topic that was deleted would make it again.
    extra = '"auto.create.topics.enable" = false\n'
    with tempfile.TemporaryDirectory() as directory, Cluster(arguments.broker, directory, extra=extra) as cluster:
        cluster.start_all()
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        until(lambda: len(admin.list_topics(timeout=10).brokers) == 3)
        done(admin.create_topics([NewTopic("orders", 2, 3)]))
        settings_change(admin)
        leaders_time(admin, cluster.bootstrap)
        topics_grow_and_go(admin, cluster.bootstrap)
        codecs(admin, cluster)
        another_client(cluster.bootstrap)
    print("administered: settings, codecs, the leader's time, partitions, deletion under load, the quorum, log directories")


if __name__ == "__main__":
    main()
