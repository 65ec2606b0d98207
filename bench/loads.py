"""The loads, made by the generators that people measure Kafka with: the same programs, with the same flags, for both systems."""

import re
import subprocess
import time

from systems import java


class Failed(Exception):
    """A generator that did not do what it was told, with the end of what it said."""


def run(command, seconds=600):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}\n{done.stdout[-2000:]}")
    return done.stdout


def found(pattern, output):
    matches = re.findall(pattern, output)
    if not matches:
        raise Failed(f"nothing in this says {pattern!r}:\n{output[-2000:]}")
    return matches[-1]


class Loads:
    def __init__(self, jars, rdkafka_performance):
        self.jars = jars
        self.rdkafka_performance = rdkafka_performance

    def make_topic(self, system, topic, partitions, replicas):
        arguments = ["--create", "--topic", topic, "--partitions", str(partitions), "--replication-factor", str(replicas)]
        command = java(self.jars, "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", system.bootstrap, *arguments)
        for _ in range(10):
            try:
                return run(command)
            except Failed as failed:  # The brokers may not all have registered yet.
                last = failed
                time.sleep(1)
        raise last

    def produce_by_java(self, system, topic, size, acks, records, per_second=-1):
        """kafka-producer-perf-test: megabytes a second, and latencies in ms."""
        properties = [f"bootstrap.servers={system.bootstrap}", f"acks={acks}"]
        output = run(
            java(
                self.jars,
                "org.apache.kafka.tools.ProducerPerformance",
                *["--topic", topic, "--num-records", str(records), "--record-size", str(size)],
                *["--throughput", str(per_second), "--producer-props", *properties],
            )
        )
        rate = r"records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency"
        records_per_second, megabytes, _ = found(rate, output)
        p50, p99, p999 = found(r"(\d+) ms 50th, \d+ ms 95th, (\d+) ms 99th, (\d+) ms 99.9th", output)
        return {
            "records_per_second": float(records_per_second),
            "megabytes_per_second": float(megabytes),
            "p50_ms": int(p50),
            "p99_ms": int(p99),
            "p99.9_ms": int(p999),
        }

    def produce_by_rdkafka(self, system, topic, size, acks, records):
        """librdkafka's rdkafka_performance as a producer: megabytes a second."""
        output = run([self.rdkafka_performance, "-P", "-t", topic, "-b", system.bootstrap, *rdkafka(size, acks, records)])
        return {"megabytes_per_second": float(found(r"messages produced.*?and ([\d.]+) ?MB/s", output))}

    def consume_by_rdkafka(self, system, topic, records):
        """The same as a consumer of one partition from its beginning: megabytes a second."""
        command = [self.rdkafka_performance, "-C", "-t", topic, "-p", "0", "-b", system.bootstrap]
        output = run([*command, "-o", "beginning", "-c", str(records)])
        return {"megabytes_per_second": float(found(r"consumed in.*?\(([\d.]+) MB/s\)", output))}


def rdkafka(size, acks, records):
    acks = "-1" if acks == "all" else acks
    return ["-s", str(size), "-a", acks, "-c", str(records), "-X", "queue.buffering.max.messages=500000"]
