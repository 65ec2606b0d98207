"""Fifty random kills and stops of three real brokers under load, and not one acknowledged record less.

Producers (librdkafka, idempotent, acks=all) and readers (kafka-python) write down what they ask and what they are told, in the form that
docs/histories.md describes. Meanwhile brokers get SIGKILL and come again, or SIGSTOP and go on as if nothing had been, one, two or all three
at a time. When it is over somebody reads every partition to its end, and `trial check` judges.
"""

import argparse
import collections
import contextlib
import json
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, TopicPartition

from cluster import Cluster

TOPIC = "ledger"
PARTITIONS = 4
PRODUCERS = 3
READERS = 2
RECORDS_AN_OPERATION = 10
IMPATIENT = "\n".join(
    [
        '"broker.heartbeat.interval.ms" = 200',
        '"broker.session.timeout.ms" = 1500',
        '"replica.lag.time.max.ms" = 1500',
        "",
    ]
)
"""So that a fault of a second or two is one that the cluster has to act on."""


def key(partition):
    return f"{TOPIC}/{partition}"


class History:
    """Lines in the order in which they were seen, by one clock."""

    def __init__(self, path):
        self.file = open(path, "w")
        self.lock = threading.Lock()
        self.index = 0
        self.processes = 0
        claims = {"acks": "all", "idempotent": True, "isolation": "read_committed", "unclean_election": False}
        self.file.write(json.dumps({"history": 1, "claims": claims}) + "\n")

    def process(self):
        with self.lock:
            self.processes += 1
            return self.processes

    def say(self, process, kind, f, value, error=None):
        with self.lock:
            line = {"index": self.index, "time": time.monotonic_ns(), "process": process, "type": kind, "f": f}
            line["value"] = value
            if error is not None:
                line["error"] = error
            self.index += 1
            self.file.write(json.dumps(line) + "\n")


class Load:
    """Producers and readers, until they are told to stop."""

    def __init__(self, bootstrap, history, seed):
        self.bootstrap, self.history, self.seed = bootstrap, history, seed
        self.is_over = threading.Event()
        self.lock = threading.Lock()
        self.next_value = 0
        self.told = collections.Counter()
        self.gave_up = []
        self.threads = [threading.Thread(target=self.produce, args=(number,)) for number in range(PRODUCERS)]
        self.threads += [threading.Thread(target=self.read) for _ in range(READERS)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()

    def values(self, count):
        with self.lock:
            self.next_value += count
            return range(self.next_value - count, self.next_value)

    def produce(self, number):
        chance = random.Random(f"{self.seed} producer {number}")
        while not self.is_over.is_set():
            # One life: until nobody can say what became of something.
            process = self.history.process()
            producer = Producer(
                {
                    "bootstrap.servers": self.bootstrap,
                    "enable.idempotence": True,
                    "linger.ms": chance.choice([0, 2]),
                    "message.timeout.ms": 8000,
                    "reconnect.backoff.max.ms": 500,
                    "log_level": 0,
                }
            )
            while not self.is_over.is_set() and self.send(process, producer, chance):
                time.sleep(0.01)

    def send(self, process, producer, chance):
        """One operation of some records. False if it is not known what became of each."""
        sends = [(chance.randrange(PARTITIONS), value) for value in self.values(RECORDS_AN_OPERATION)]
        self.history.say(process, "invoke", "send", [["send", key(partition), value] for partition, value in sends])
        offsets, errors = {}, []

        def delivered(error, message):
            if error is None:
                offsets[int(message.value())] = message.offset()
            else:
                errors.append(str(error))

        try:
            for partition, value in sends:
                producer.produce(TOPIC, str(value), partition=partition, on_delivery=delivered)
            producer.flush(30)
        except KafkaException as error:  # A fatal one: whatever comes later, this producer is of no use any more.
            errors.append(str(error))
            self.gave_up.append(str(error))
        if len(offsets) == len(sends):
            steps = [["send", key(partition), [offsets[value], value]] for partition, value in sends]
            self.history.say(process, "ok", "send", steps)
            self.told["records acknowledged"] += len(sends)
            return True
        steps = [["send", key(partition), value] for partition, value in sends]
        self.history.say(process, "info", "send", steps, (errors or ["no answer"])[0])
        self.told["operations in doubt"] += 1
        return False

    def read(self):
        with self.reader() as (consumer, process):
            while not self.is_over.is_set():
                self.poll(consumer, process)

    # Not by librdkafka: 2.16 locks itself up for ever, now and then, when a leader is lost while it asks it for the end of an epoch.
    @contextlib.contextmanager
    def reader(self):
        process = self.history.process()
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap.split(","),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=500,
            request_timeout_ms=5000,
            reconnect_backoff_max_ms=500,
        )
        places = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
        keys = [key(partition) for partition in range(PARTITIONS)]
        self.history.say(process, "invoke", "assign", keys)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        self.history.say(process, "ok", "assign", keys)
        try:
            yield consumer, process
        finally:
            consumer.close()

    def poll(self, consumer, process):
        """Where the reader has come to, in each partition of which it was given records."""
        self.history.say(process, "invoke", "poll", [["poll"]])
        polled = consumer.poll(timeout_ms=300)
        records = {
            key(place.partition): [[record.offset, int(record.value)] for record in records]
            for place, records in polled.items()
        }
        self.history.say(process, "ok", "poll", [["poll", records]])
        return {place.partition: records[-1].offset + 1 for place, records in polled.items() if records}

    def read_to_the_end(self, seconds=60):
        """Every record of every partition, and where each ends."""
        with self.reader() as (consumer, process):
            places = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
            self.history.say(process, "invoke", "end", None)
            starts, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
            told = {key(place.partition): [starts[place], ends[place]] for place in places}
            self.history.say(process, "ok", "end", told)
            positions = dict.fromkeys(range(PARTITIONS), 0)
            deadline = time.monotonic() + seconds
            while any(positions[place.partition] < end for place, end in ends.items()):
                if deadline < time.monotonic():
                    sys.exit(f"the last reader came to {positions} of {told} in {seconds} s")
                positions.update(self.poll(consumer, process))
        self.told["records in the logs"] = sum(ends.values())


class Faults:
    """What befalls brokers, one after another, and what makes them whole again."""

    def __init__(self, cluster, chance):
        self.cluster, self.chance = cluster, chance
        self.until = {}
        self.told = collections.Counter()

    def one(self):
        at_once = self.chance.choices([1, 2, 3], [6, 3, 1])[0]
        kill = self.chance.random() < 0.6
        well = [node for node in (1, 2, 3) if node not in self.until]
        for node in self.chance.sample(well, min(at_once, len(well))):
            if kill:
                self.cluster.kill(node)
            else:
                self.cluster.processes[node].send_signal(signal.SIGSTOP)
            self.told["kill -9" if kill else "SIGSTOP"] += 1
            self.until[node] = time.monotonic() + self.chance.uniform(0.2, 5)

    def heal(self, now):
        for node in [node for node, until in self.until.items() if until <= now]:
            del self.until[node]
            if node in self.cluster.processes:
                self.cluster.processes[node].send_signal(signal.SIGCONT)
            else:
                self.cluster.start(node)

    def rest(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.heal(time.monotonic())
            time.sleep(0.05)


def make_topic(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + 30
    while True:
        try:
            topic = NewTopic(TOPIC, PARTITIONS, 3, config={"min.insync.replicas": "2"})
            return admin.create_topics([topic])[TOPIC].result()
        except KafkaException:  # The brokers may not have registered yet.
            if deadline < time.monotonic():
                raise
            time.sleep(0.3)


def judged(trial, path):
    """The exit code of `trial check`, and the promises that are broken."""
    said = subprocess.run([trial, "check", path, "--json"], stdout=subprocess.PIPE, text=True)
    return said.returncode, [one for one in json.loads(said.stdout)["promises"] if one["verdict"] == "broken"]


def without_one_record(path):
    """The history, as if nobody had ever read the first record that was acknowledged."""
    said = [json.loads(line) for line in path.read_text().splitlines()]
    told = [line for line in said if line.get("f") == "send" and line["type"] == "ok"]
    _, place, (_, value) = told[0]["value"][0]
    for line in said:
        if line.get("f") == "poll" and line["type"] == "ok":
            ((_, polled),) = line["value"]
            if place in polled:
                polled[place] = [record for record in polled[place] if record[1] != value]
    return "".join(json.dumps(line) + "\n" for line in said)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True, help="the broker's binary")
    parser.add_argument("--trial", required=True, help="the trial's binary, which judges")
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("target/compat/fifty-faults"))
    chosen = parser.parse_args()
    print(f"fifty faults: seed {chosen.seed}", flush=True)
    with Cluster(chosen.broker, chosen.directory, extra=IMPATIENT) as cluster:
        cluster.start_all()
        make_topic(cluster.bootstrap)
        path = chosen.directory / "history.jsonl"
        history = History(path)
        load = Load(cluster.bootstrap, history, chosen.seed)
        faults = Faults(cluster, random.Random(chosen.seed))
        load.start()
        while sum(faults.told.values()) < chosen.faults:
            faults.one()
            faults.rest(faults.chance.uniform(0.5, 4))
        faults.rest(6)
        under_faults = load.told["records acknowledged"]
        faults.rest(4)
        load.stop()
        if load.gave_up:
            sys.exit(f"{len(load.gave_up)} producers gave up for good, the first for this: {load.gave_up[0]}")
        if load.told["records acknowledged"] == under_faults:
            sys.exit("all brokers are well, and nothing is acknowledged")
        load.read_to_the_end()
        history.file.close()
        print(f"  {dict(faults.told)}; {dict(load.told)}", flush=True)
        code, broken = judged(chosen.trial, path)
        if code != 0:
            sys.exit(f"`trial check {path}` says {code}: {json.dumps(broken, indent=1)}")
        print("  nothing acknowledged is lost, out of order or twice", flush=True)
        # The judge is not asleep: it misses one record that nobody read.
        poorer = chosen.directory / "one-record-less.jsonl"
        poorer.write_text(without_one_record(path))
        code, broken = judged(chosen.trial, poorer)
        if code != 1 or not broken:
            sys.exit(f"`trial check {poorer}` says {code}, and a record is missing there")


if __name__ == "__main__":
    main()
