"""A thousand topics of ten partitions on three brokers: how long they take to be made, to fail over, to stop and to start again, while a
producer writes elsewhere. One line a figure. `cargo build --release -p broker && python3 bench/partitions.py`"""

import argparse
import concurrent.futures
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "compat"))
from cluster import Cluster, free_ports, resident_bytes

OFFLINE = "kafka_controller_kafkacontroller_offlinepartitionscount"
ACTIVE = "kafka_controller_kafkacontroller_activecontrollercount"
FENCED = "kafka_controller_kafkacontroller_fencedbrokercount"
BEHIND = "kafka_server_replicamanager_underreplicatedpartitions"


def tell(what, figure):
    print(f"{what:<84} {figure}", flush=True)


class Nodes(Cluster):
    """Three of them, each with its metrics."""

    def __init__(self, binary, directory):
        super().__init__(binary, directory, 3, extra='"num.partitions" = 10\n')
        self.metrics_ports = free_ports(3)
        self.made = 0
        for node, port in enumerate(self.metrics_ports, 1):
            with open(self.directory / f"broker-{node}" / "broker.toml", "a") as config:
                config.write(f'"metrics.listener" = "127.0.0.1:{port}"\n')

    def metric(self, node, name):
        """None if the node does not answer, or does not have it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_ports[node - 1]}/metrics", timeout=5) as answer:
                found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        except OSError:
            return None
        return found and float(found[1])

    def until(self, is_so, seconds=300):
        began = time.monotonic()
        while not is_so():
            if time.monotonic() - began > seconds:
                sys.exit("it never came to that")
            time.sleep(0.05)
        return time.monotonic() - began

    def controllers(self):
        return [node for node in self.processes if self.metric(node, ACTIVE) == 1]

    def all_led(self):
        """True if the active controller counts on those that run and no others, and knows of no partition without a leader."""
        active = self.controllers()
        gone = len(self.ports) - len(self.processes)
        return len(active) == 1 and self.metric(active[0], FENCED) == gone and self.metric(active[0], OFFLINE) == 0

    def all_caught_up(self):
        return all(self.metric(node, BEHIND) == 0 for node in self.processes)

    def are_ready(self):
        return all(self.is_ready(port) for node, port in enumerate(self.metrics_ports, 1) if node in self.processes)

    @staticmethod
    def is_ready(port):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5).status == 200
        except OSError:
            return False

    def run(self, *arguments):
        command = [self.binary, *arguments, "--bootstrap", self.bootstrap]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def topic_led(self, is_it):
        """A new topic of one partition, whose leader is as asked."""
        for number in itertools.count():
            name = f"steady-{self.made}-{number}"
            self.run("topic", "create", name, "--partitions", "1")
            if is_it(int(re.search(r"leader (\d+)", self.run("topic", "describe", name))[1])):
                self.made += 1
                return name

    def steady(self, topic, seconds):
        """A producer that writes 200 records a second."""
        arguments = ["produce", topic, "--rate", "200", "--records", str(200 * seconds), "--json"]
        command = [self.binary, "bench", *arguments, "--bootstrap", self.bootstrap]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def waited(producer):
    latencies = json.loads(producer.communicate()[0])["latency_ms"]
    return ", ".join(f"{name} {latency:.1f} ms" for name, latency in latencies.items())


def at_once(action, arguments, threads=8):
    """Seconds of each, and of all."""

    def timed(argument):
        began = time.monotonic()
        action(argument)
        return time.monotonic() - began

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        each = list(pool.map(timed, arguments))
    return each, time.monotonic() - began


def measure(nodes, topics):
    names = [f"topic-{number}" for number in range(topics)]
    nodes.start_all()
    nodes.until(nodes.are_ready)
    steady = nodes.steady(nodes.topic_led(lambda leader: True), 30)
    each, all_of = at_once(lambda name: nodes.run("topic", "create", name), names)
    tell(f"{topics} topics of 10 partitions, 3 replicas each, made by 8 clients", f"{all_of:.1f} s, the slowest {max(each):.2f} s")
    tell("until each has a leader and all replicas in sync", f"{nodes.until(lambda: nodes.all_led() and nodes.all_caught_up()):.1f} s more")
    tell("acknowledgements of another topic meanwhile", waited(steady))
    _, all_of = at_once(lambda name: nodes.run("bench", "produce", name, "--records", "200", "--size", "100"), names)
    tell("200 records written to each topic", f"{all_of:.1f} s")
    memory = [resident_bytes(process.pid) / 1e6 for process in nodes.processes.values()]
    tell("memory of each broker", ", ".join(f"{each:.0f} MB" for each in memory))

    for is_controller in [False, True]:
        (controller,) = nodes.controllers()
        victim = controller if is_controller else controller % 3 + 1
        written = [nodes.topic_led(lambda leader: (leader == victim) == is_led) for is_led in [False, True]]
        elsewhere, there = [nodes.steady(topic, 20) for topic in written]
        time.sleep(5)
        nodes.kill(victim)
        who = "the controller" if is_controller else "one that is not the controller"
        tell(f"after kill -9 of {who}: until each partition has a leader", f"{nodes.until(nodes.all_led):.1f} s")
        nodes.start(victim)
        tell("it starts again: until it is ready", f"{nodes.until(nodes.are_ready):.1f} s")
        tell("until all replicas are in sync", f"{nodes.until(nodes.all_caught_up):.1f} s more")
        tell("acknowledgements where another led meanwhile", waited(elsewhere))
        tell("acknowledgements where it had led meanwhile", waited(there))

    began = time.monotonic()
    for process in nodes.processes.values():
        process.terminate()
    for process in nodes.processes.values():
        process.wait()
    nodes.processes.clear()
    tell("all three stop in order", f"{time.monotonic() - began:.1f} s")
    began = time.monotonic()
    nodes.start_all()
    nodes.until(nodes.are_ready)
    nodes.until(nodes.all_led)
    tell("all three start: until each partition has a leader", f"{time.monotonic() - began:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", default="target/release/broker")
    parser.add_argument("--topics", type=int, default=1000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="partitions-") as directory, Nodes(chosen.broker, directory) as nodes:
        measure(nodes, chosen.topics)


if __name__ == "__main__":
    main()
