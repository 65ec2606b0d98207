"""Three real brokers, a real text file, foreign clients, and a leader that dies half way.

kcat produces the file keyed to three partitions as an idempotent producer; the leader of partition 0 gets SIGKILL half way and
is started again. kcat and a librdkafka-based Python client read everything back: every line that was acknowledged is there, once
and in order within its partition. Then all three brokers are killed and started again, and nothing is lost.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from cluster import Cluster

TOPIC = "lines"
PARTITIONS = 3
LINES = 120_000


def text_lines():
    """Lines of the Python standard library's own source: real text, some of it long, some not ASCII."""
    lines = []
    for path in sorted(pathlib.Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(lines) >= LINES:
            break
    while len(lines) < LINES:
        lines += lines
    return [f"{number:07} {line}".rstrip() for number, line in enumerate(lines[:LINES])]


def create_topic(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + 30
    while True:
        try:
            admin.create_topics([NewTopic(TOPIC, PARTITIONS, 3, config={"min.insync.replicas": "2"})])[TOPIC].result()
            return admin
        except Exception as error:  # The brokers may not have registered yet.
            if time.monotonic() > deadline:
                raise
            print(f"  creating the topic: {error}", flush=True)
            time.sleep(0.3)


def leader_of(bootstrap, partition):
    metadata = json.loads(subprocess.check_output(["kcat", "-b", bootstrap, "-L", "-J", "-t", TOPIC]))
    return metadata["topics"][0]["partitions"][partition]["leader"]


def produce_with_a_kill(cluster, lines):
    """All lines through kcat; the leader of partition 0 dies half way. kcat exits with 0 only if each was acknowledged."""
    kcat = subprocess.Popen(
        ["kcat", "-P", "-b", cluster.bootstrap, "-t", TOPIC, "-K", "\t", "-X", "enable.idempotence=true", "-X", "linger.ms=5",
         "-X", "message.timeout.ms=120000", "-X", "queue.buffering.max.messages=10000000"],
        stdin=subprocess.PIPE, text=True, encoding="utf-8",
    )
    half = len(lines) // 2

    def feed():
        for number, line in enumerate(lines):
            kcat.stdin.write(f"key-{number % 97}\t{line}\n")
            if number == half:
                kcat.stdin.flush()
                killed.set()
        kcat.stdin.close()

    killed = threading.Event()
    feeder = threading.Thread(target=feed)
    feeder.start()
    killed.wait()
    victim = leader_of(cluster.bootstrap, 0)
    cluster.kill(victim)
    print(f"  killed broker {victim}, the leader of partition 0", flush=True)
    time.sleep(2)
    cluster.start(victim)
    feeder.join()
    code = kcat.wait(timeout=180)
    if code != 0:
        sys.exit(f"kcat says that some lines were not delivered: exit {code}")


def read_with_kcat(bootstrap):
    partitions = {partition: [] for partition in range(PARTITIONS)}
    for partition in partitions:
        out = subprocess.check_output(
            ["kcat", "-C", "-b", bootstrap, "-t", TOPIC, "-p", str(partition), "-o", "beginning", "-e", "-q", "-f", "%o\t%s\n"],
        ).decode("utf-8")
        for row in out.split("\n")[:-1]:
            offset, line = row.split("\t", 1)
            partitions[partition].append((int(offset), line))
    return partitions


def read_with_python(bootstrap):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "compat", "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "enable.partition.eof": True})
    consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
    partitions, ended = {partition: [] for partition in range(PARTITIONS)}, set()
    deadline = time.monotonic() + 60
    while len(ended) < PARTITIONS:
        if time.monotonic() > deadline:
            sys.exit(f"the Python client reached the end of {sorted(ended)} only")
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() is not None:
            if message.error().name() == "_PARTITION_EOF":
                ended.add(message.partition())
                continue
            sys.exit(f"the Python client was told: {message.error()}")
        partitions[message.partition()].append((message.offset(), message.value().decode("utf-8")))
    consumer.close()
    return partitions


def judge(who, partitions, lines):
    """Every line there, once and in order, none that nobody wrote, offsets without holes."""
    seen = set()
    for partition, records in partitions.items():
        offsets = [offset for offset, _ in records]
        if offsets != list(range(len(offsets))):
            sys.exit(f"{who}: the offsets of partition {partition} have holes or turns")
        newest = -1
        for offset, line in records:
            number = int(line[:7])
            if lines[number] != line:
                sys.exit(f"{who}: partition {partition} offset {offset} holds {line!r}, which nobody wrote")
            if number in seen:
                sys.exit(f"{who}: partition {partition} has line {number} twice")
            if number < newest:
                sys.exit(f"{who}: partition {partition} has line {number} after line {newest}")
            seen.add(number)
            newest = number
    missing = len(lines) - len(seen)
    if missing:
        sys.exit(f"{who}: {missing} acknowledged lines are lost, the first is {min(set(range(len(lines))) - seen)}")
    print(f"  {who}: all {len(lines)} lines, once and in order in each partition", flush=True)


def python_produces(bootstrap):
    """The other direction: what the Python client writes, its callbacks acknowledge."""
    acked = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "compression.type": "zstd"})
    for number in range(1000):
        producer.produce(TOPIC, f"python {number}", partition=number % PARTITIONS,
                         on_delivery=lambda error, message: acked.append(error))
    if producer.flush(30) or any(error is not None for error in acked) or len(acked) != 1000:
        sys.exit("the Python client's records were not all acknowledged")
    print("  Python: 1000 records with zstd acknowledged", flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--broker", required=True)
    broker = arguments.parse_args().broker
    lines = text_lines()
    with tempfile.TemporaryDirectory() as directory, Cluster(broker, directory) as cluster:
        try:
            cluster.start_all()
            create_topic(cluster.bootstrap)
            produce_with_a_kill(cluster, lines)
            judge("kcat", read_with_kcat(cluster.bootstrap), lines)
            judge("Python", read_with_python(cluster.bootstrap), lines)
            cluster.kill_all()
            print("  killed all three brokers", flush=True)
            cluster.start_all()
            judge("kcat after the restart", read_with_kcat(cluster.bootstrap), lines)
            judge("Python after the restart", read_with_python(cluster.bootstrap), lines)
            python_produces(cluster.bootstrap)
        except BaseException:
            for log in sorted(pathlib.Path(directory).glob("*/log.txt")):
                print(f"--- {log.parent.name}\n{log.read_text(errors='replace')[-3000:]}", flush=True)
            raise
    print("kill a leader: 1 passed, 0 failed", flush=True)


if __name__ == "__main__":
    main()
