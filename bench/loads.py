"""The loads, made by the generators that people measure Kafka with: the same programs, with the same flags, for both systems."""

import json
import re
import resource
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


def generators_seconds():
    """What the generators that are done used of the processors so far, in user and kernel mode; brokers count once they are stopped."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def found(pattern, output):
    matches = re.findall(pattern, output)
    if not matches:
        raise Failed(f"nothing in this says {pattern!r}:\n{output[-2000:]}")
    return matches[-1]


class Loads:
    def __init__(self, jars, rdkafka_performance, broker):
        self.jars = jars
        self.rdkafka_performance = rdkafka_performance
        self.broker = broker

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
        """kafka-producer-perf-test: megabytes a second, and latencies in ms, both once it is warm: as many records again come first."""
        properties = [f"bootstrap.servers={system.bootstrap}", f"acks={acks}"]
        output = run(
            java(
                self.jars,
                "org.apache.kafka.tools.ProducerPerformance",
                *["--topic", topic, "--num-records", str(2 * records), "--warmup-records", str(records)],
                *["--record-size", str(size), "--throughput", str(per_second), "--command-property", *properties],
            )
        )
        rate = r"steady state records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency"
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

    def produce_by_broker_bench(self, system, topic, size, acks, records, per_second=None):
        """Our own client: megabytes a second, and latencies in ms from when a record was due, once as many records again have come first."""
        arguments = ["--records", str(records), "--warmup", str(records), "--size", str(size), "--acks", acks]
        rate = ["--rate", str(per_second)] if per_second else []
        return self.broker_bench(system, "produce", topic, *arguments, *rate)

    def consume_by_broker_bench(self, system, topic, records):
        return self.broker_bench(system, "consume", topic, "--records", str(records))

    def broker_bench(self, system, what, topic, *arguments):
        command = [self.broker, "bench", what, topic, "--bootstrap", system.bootstrap, "--json", *arguments]
        figures = json.loads(run(command).splitlines()[-1])
        latencies = {f"{name}_ms": figure for name, figure in figures.get("latency_ms", {}).items()}
        return {"megabytes_per_second": figures["bytes_per_second"] / 1e6, **latencies}

    def consume_by_rdkafka(self, system, topic, records):
        """The same as a consumer of one partition from its beginning: megabytes a second."""
        command = [self.rdkafka_performance, "-C", "-t", topic, "-p", "0", "-b", system.bootstrap]
        output = run([*command, "-o", "beginning", "-c", str(records)])
        return {"megabytes_per_second": float(found(r"consumed in.*?\(([\d.]+) MB/s\)", output))}


def rdkafka(size, acks, records):
    acks = "-1" if acks == "all" else acks
    return ["-s", str(size), "-a", acks, "-c", str(records), "-X", "queue.buffering.max.messages=500000"]
