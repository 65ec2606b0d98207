"""Our broker beside Apache Kafka, on one machine in one run: each in turn, round after round, the median of the rounds counts."""

import argparse
import json
import pathlib
import statistics
import sys
from functools import partial

from loads import Failed, Loads, generators_seconds
from systems import ApacheKafka, Ours, OursUnsynced, peak_bytes, processor_seconds

PAGE = pathlib.Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- figures: bench/run --write -->\n", "<!-- end of the figures -->\n"

# What counts as better, and the aim: our figure over Kafka's at least, or at most.
AIMS = {
    "MB/s": ("at least", 2.0),
    "ms": ("at most", 0.5),
    "MB": ("at most", 0.1),
    "s": ("at most", 0.05),
    "s/GB": ("at most", 1.0),
}


GENERATOR = "processor of the generator"
"""What it uses the brokers lack: they share the machine. No aim, and the reason why some are missed."""


def touch_memory(path, gigabytes):
    """Fills that much of the page cache and lets it go again. What memory a virtual machine does not use its host takes back, and whoever
    writes there next waits several times as long as for the copy: that shall be neither of the two."""
    block = bytes(1 << 20)
    with open(path, "wb", buffering=0) as file:
        for _ in range(int(gigabytes * 1e9) >> 20):
            file.write(block)
    path.unlink()


class Measured:
    """Figures of loads on one system, by name and unit: how fast, and who used the processors for it."""

    def __init__(self, system):
        self.system = system
        self.figures = {}

    def load(self, name, gigabytes, generate, written=0):
        """Of so many gigabytes of records; brokers write that many."""
        touch_memory(self.system.directory / "touched", written)
        brokers, generators = processor_seconds(self.system.pids), generators_seconds()
        self.figures[name, "MB/s"] = generate()["megabytes_per_second"]
        brokers, generators = processor_seconds(self.system.pids) - brokers, generators_seconds() - generators
        self.figures[f"{name}: processor of all brokers", "s/GB"] = brokers / gigabytes
        self.figures[f"{name}: {GENERATOR}", "s/GB"] = generators / gigabytes


def full_speed(loads, system, nodes, scale):
    """Every load once, as fast as it goes: name, unit and figure of each."""
    measured = Measured(system)
    replicas = min(3, nodes)
    measured.figures["start to first answer", "s"] = system.start()
    loads.make_topic(system, "warm", 3, replicas)
    loads.produce_by_java(system, "warm", 1024, "all", scale // 4)
    loads.produce_by_rdkafka(system, "warm", 1024, "1", scale // 2)
    for size, records in ((1024, scale), (100, scale * 4)):
        gigabytes = 2 * records * size / 1e9
        written = gigabytes * replicas
        for acks in ("1", "all"):
            what, topic = f"{size} B, acks={acks}", f"records-{size}-{acks}"
            loads.make_topic(system, topic, 1, replicas)
            java = partial(loads.produce_by_java, system, topic, size, acks, records)
            measured.load(f"produce {what}: kafka-producer-perf-test", gigabytes, java, written)
            rdkafka = partial(loads.produce_by_rdkafka, system, topic, size, acks, 2 * records)
            measured.load(f"produce {what}: rdkafka_performance", gigabytes, rdkafka, written)
            ours = partial(loads.produce_by_broker_bench, system, topic, size, acks, records)
            measured.load(f"produce {what}: broker bench", gigabytes, ours, written)
        for name, generate in (
            ("rdkafka_performance", loads.consume_by_rdkafka),
            ("broker bench", loads.consume_by_broker_bench),
        ):
            consume = partial(generate, system, f"records-{size}-all", 6 * records)
            measured.load(f"consume {size} B: {name}", 3 * gigabytes, consume)
    measured.figures["memory of all brokers at most", "MB"] = peak_bytes(system.pids) / 1e6
    return measured.figures


def half_speed(loads, system, nodes, per_second, seconds):
    """Latencies of acknowledgement at a steady rate: half of what Kafka can do at most."""
    system.start()
    loads.make_topic(system, "steady", 1, min(3, nodes))
    figures = {}
    for name, generate in (
        ("kafka-producer-perf-test", loads.produce_by_java),
        ("broker bench", loads.produce_by_broker_bench),
    ):
        touch_memory(system.directory / "touched", 2 * per_second * seconds * 1024 * min(3, nodes) / 1e9)
        said = generate(system, "steady", 1024, "all", per_second * seconds, per_second)
        what = f"latency at {per_second} records a second, 1024 B, acks=all: {name}"
        figures.update({(f"{what}, {share}", "ms"): said[f"{share}_ms"] for share in ("p50", "p99", "p99.9")})
    return figures


def compared(make, loads, nodes, rounds, scale):
    """Of each system the median of each figure: name and unit, to the systems' names, to the figure."""
    figures = {}

    def one(name, load):
        system = make[name](nodes)
        try:
            for what, figure in load(system).items():
                figures.setdefault(what, {}).setdefault(name, []).append(figure)
        finally:
            system.stop()

    for number in range(rounds):
        for name in make:
            print(f"{nodes} nodes, round {number + 1} of {rounds}: {name}, full speed", file=sys.stderr)
            one(name, lambda system: full_speed(loads, system, nodes, scale))
    most = figures["produce 1024 B, acks=all: kafka-producer-perf-test", "MB/s"][ApacheKafka.name]
    per_second = int(statistics.median(most) * 1024 * 1024 / 1024 / 2)
    for number in range(rounds):
        for name in make:
            print(f"{nodes} nodes, round {number + 1} of {rounds}: {name}, half of Kafka's speed", file=sys.stderr)
            one(name, lambda system: half_speed(loads, system, nodes, per_second, seconds=10))
    return {what: {name: statistics.median(all_of) for name, all_of in by.items()} for what, by in figures.items()}


def is_reached(unit, ratio):
    bound, aim = AIMS[unit]
    return ratio >= aim if bound == "at least" else ratio <= aim


def table(nodes, figures):
    lines = [
        f"### {nodes} {'node' if nodes == 1 else 'nodes'}\n",
        "| | unit | ours | Apache Kafka | ours / Kafka | aim | | ours unsynced / Kafka |",
        "|---|---|--:|--:|--:|---|---|--:|",
    ]
    for (what, unit), by in figures.items():
        ours, unsynced, kafka = by[Ours.name], by[OursUnsynced.name], by[ApacheKafka.name]
        ratio, unsynced = (figure / kafka if kafka else float("inf") for figure in (ours, unsynced))
        bound, aim = AIMS[unit]
        mark = "reached" if is_reached(unit, ratio) else "missed"
        judged = "| |" if what.endswith(GENERATOR) else f"{bound} {aim:g} | {mark} |"
        lines.append(f"| {what} | {unit} | {ours:.3g} | {kafka:.3g} | {ratio:.2f} | {judged} {unsynced:.2f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--home", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--broker", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3], help="sizes of the clusters (1 3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each load is run on each system (3)")
    parser.add_argument("--records", type=int, default=200_000, help="records of 1 KiB in half a load; of 100 B four times as many")
    parser.add_argument("--json", action="store_true", help="figures for programs instead of a table")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    chosen = parser.parse_args()
    jars = chosen.home / "kafka"
    make = {
        Ours.name: lambda nodes: Ours(chosen.broker, chosen.home / "data-ours", nodes),
        OursUnsynced.name: lambda nodes: OursUnsynced(chosen.broker, chosen.home / "data-ours", nodes),
        ApacheKafka.name: lambda nodes: ApacheKafka(jars, chosen.home / "data-kafka", nodes),
    }
    loads = Loads(jars, str((chosen.home / "rdkafka_performance").resolve()), chosen.broker)
    try:
        results = {nodes: compared(make, loads, nodes, chosen.rounds, chosen.records) for nodes in chosen.nodes}
    except Failed as failed:
        sys.exit(f"a load failed: {failed}")
    if chosen.json:
        rows = [
            {"nodes": nodes, "what": what, "unit": unit, **by}
            for nodes, figures in results.items()
            for (what, unit), by in figures.items()
        ]
        print(json.dumps({"rounds": chosen.rounds, "records": chosen.records, "figures": rows}, indent=1))
        return
    tables = "\n".join(table(nodes, figures) for nodes, figures in results.items())
    print(tables)
    if chosen.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
