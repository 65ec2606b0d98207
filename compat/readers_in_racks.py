"""Readers in three racks, through librdkafka: each is served in its own, and goes on when its broker dies.

Three real brokers stand in three racks and select replicas by rack (KIP-392). A reader that says where it stands is sent to the replica
there; librdkafka's statistics tell from which broker it fetches. When that broker is killed, the reader is served by another one, and has
every record in the end.
"""

import argparse
import json
import tempfile
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from cluster import Cluster

RACKS = ["north", "east", "south"]
SELECTOR = '"replica.selector.class" = "org.apache.kafka.common.replica.RackAwareReplicaSelector"\n'


class Reader:
    def __init__(self, bootstrap, rack):
        self.source, self.values = None, []
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "none",
                "enable.auto.commit": False,
                "client.rack": rack,
                "statistics.interval.ms": 200,
                "stats_cb": self.hear,
            }
        )
        self.consumer.assign([TopicPartition("orders", 0, 0)])

    def hear(self, statistics):
        partitions = json.loads(statistics)["topics"].get("orders", {}).get("partitions", {})
        self.source = partitions.get("0", {}).get("broker", self.source)

    def read_until(self, what, seconds=40):
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, (self.source, len(self.values))
            messages = self.consumer.consume(500, timeout=0.2)
            self.values += [message.value() for message in messages if message.error() is None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, Cluster(
        arguments.broker, directory, extra=SELECTOR, racks=RACKS
    ) as cluster:
        cluster.start_all()
        admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
        deadline = time.monotonic() + 20
        while len(admin.list_topics(timeout=10).brokers) < 3:
            assert time.monotonic() < deadline, "not every broker is there"
            time.sleep(0.1)
        (made,) = admin.create_topics([NewTopic("orders", 1, 3)]).values()
        made.result(timeout=20)
        producer = Producer({"bootstrap.servers": cluster.bootstrap, "acks": "all"})
        sent = []

        def send(count):
            values = [str(number).encode() for number in range(len(sent), len(sent) + count)]
            for value in values:
                producer.produce("orders", value)
            assert producer.flush(40) == 0
            sent.extend(values)

        send(1000)
        readers = {node: Reader(cluster.bootstrap, rack) for node, rack in enumerate(RACKS, start=1)}
        for node, reader in readers.items():
            reader.read_until(lambda: reader.values == sent and reader.source == node)
        leader = admin.list_topics("orders").topics["orders"].partitions[0].leader
        follower = 1 + leader % 3
        cluster.kill(follower)
        send(1000)
        readers[follower].read_until(lambda: readers[follower].values == sent and readers[follower].source != follower)
        cluster.start(follower)
        readers[follower].read_until(lambda: readers[follower].source == follower)
        send(10)
        for reader in readers.values():
            reader.read_until(lambda: reader.values == sent)
            reader.consumer.close()
    print("served in their racks: three readers, one of them elsewhere while its broker was dead")


if __name__ == "__main__":
    main()
