"""How long a producer with acks=all waits when a broker is killed: the leader of its partition, the controller, both in one, or a follower.
`cargo build --release -p broker && python3 bench/failover.py`"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "compat"))
from cluster import Cluster

RATE, SECONDS = 200, 8
TOPIC = "steady"
NODES = {1, 2, 3}


def run(nodes, *arguments):
    command = [nodes.binary, *arguments, "--bootstrap", nodes.bootstrap]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def create(nodes):
    """Makes the topic, once all brokers are up."""
    command = [nodes.binary, "topic", "create", TOPIC, "--partitions", "1", "--bootstrap", nodes.bootstrap]
    while subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        time.sleep(0.1)


def leader(text):
    return int(re.search(r"leader\s+(\d+)", text)[1])


def settled(nodes):
    """Who leads the partition and the metadata, once everybody is in sync."""
    while True:
        described = run(nodes, "topic", "describe", TOPIC)
        if len(re.search(r"in sync (\S+)", described)[1].split(",")) == len(NODES):
            return leader(described), leader(run(nodes, "quorum", "describe"))
        time.sleep(0.1)


def killed(nodes, victim):
    """The latencies of a producer in whose time `victim` is killed, in milliseconds."""
    arguments = ["produce", TOPIC, "--rate", str(RATE), "--records", str(RATE * SECONDS), "--json"]
    command = [nodes.binary, "bench", *arguments, "--bootstrap", nodes.bootstrap]
    producer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(2)
    nodes.kill(victim)
    latencies = json.loads(producer.communicate()[0])["latency_ms"]
    nodes.start(victim)
    return latencies


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", default="target/release/broker")
    parser.add_argument("--kills", type=int, default=12)
    chosen = parser.parse_args()
    waits = {}
    with tempfile.TemporaryDirectory(prefix="failover-") as directory, Cluster(chosen.broker, directory) as nodes:
        nodes.start_all()
        create(nodes)
        for kill in range(chosen.kills):
            led, controls = settled(nodes)
            others = sorted(NODES - {led, controls})
            victim = [led, controls, others[0]][kill % 3]
            names = ["the leader"] * (victim == led) + ["the controller"] * (victim == controls) or ["a follower"]
            latencies = killed(nodes, victim)
            waits.setdefault(" and ".join(names), []).append(latencies["max"])
            print(f"kill -9 of {' and '.join(names):<30} p50 {latencies['p50']:.1f} ms, max {latencies['max']:.0f} ms", flush=True)
    for name, longest in sorted(waits.items()):
        print(f"{name:<30} the longest wait: {min(longest):.0f} to {max(longest):.0f} ms in {len(longest)} kills")


if __name__ == "__main__":
    main()
