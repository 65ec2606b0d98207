"""Our broker beside Apache Kafka, on one machine in one run: each in turn, round after round, the median of the rounds counts."""

import argparse
import json
import pathlib
import statistics
import sys

from loads import Failed, Loads
from systems import ApacheKafka, Ours, peak_bytes, processor_seconds

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


def full_speed(loads, system, nodes, scale):
    """Every load once, as fast as it goes: name, unit and figure of each."""
    figures = {}
    replicas = min(3, nodes)
    figures["start to first answer", "s"] = system.start()
    loads.make_topic(system, "warm", 3, replicas)
    loads.produce_by_java(system, "warm", 1024, "all", scale // 4)
    loads.produce_by_rdkafka(system, "warm", 1024, "1", scale // 4)
    for size, records in ((1024, scale), (100, scale * 4)):
        for acks in ("1", "all"):
            what = f"{size} B, acks={acks}"
            topic = f"records-{size}-{acks}"
            loads.make_topic(system, topic, 1, replicas)
            before = processor_seconds(system.pids)
            java = loads.produce_by_java(system, topic, size, acks, records)
            figures[f"produce {what}: kafka-producer-perf-test", "MB/s"] = java["megabytes_per_second"]
            rdkafka = loads.produce_by_rdkafka(system, topic, size, acks, records)
            figures[f"produce {what}: rdkafka_performance", "MB/s"] = rdkafka["megabytes_per_second"]
            used = processor_seconds(system.pids) - before
            figures[f"produce {what}: processor of all brokers", "s/GB"] = used / (2 * records * size / 1e9)
        before = processor_seconds(system.pids)
        consumed = loads.consume_by_rdkafka(system, f"records-{size}-all", 2 * records)
        figures[f"consume {size} B: rdkafka_performance", "MB/s"] = consumed["megabytes_per_second"]
        used = processor_seconds(system.pids) - before
        figures[f"consume {size} B: processor of all brokers", "s/GB"] = used / (2 * records * size / 1e9)
    figures["memory of all brokers at most", "MB"] = peak_bytes(system.pids) / 1e6
    return figures


def half_speed(loads, system, nodes, per_second, seconds):
    """Latencies of acknowledgement at a steady rate: half of what Kafka can do at most."""
    system.start()
    loads.make_topic(system, "steady", 1, min(3, nodes))
    loads.produce_by_java(system, "steady", 1024, "all", per_second * seconds // 4, per_second)
    said = loads.produce_by_java(system, "steady", 1024, "all", per_second * seconds, per_second)
    what = f"latency at {per_second} records a second, 1024 B, acks=all"
    return {(f"{what}: {name}", "ms"): said[f"{name}_ms"] for name in ("p50", "p99", "p99.9")}


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
            one(name, lambda system: half_speed(loads, system, nodes, per_second, seconds=15))
    return {what: {name: statistics.median(all_of) for name, all_of in by.items()} for what, by in figures.items()}


def is_reached(unit, ratio):
    bound, aim = AIMS[unit]
    return ratio >= aim if bound == "at least" else ratio <= aim


def table(nodes, figures):
    lines = [
        f"### {nodes} {'node' if nodes == 1 else 'nodes'}\n",
        "| | unit | ours | Apache Kafka | ours / Kafka | aim | |",
        "|---|---|--:|--:|--:|---|---|",
    ]
    for (what, unit), by in figures.items():
        ours, kafka = by[Ours.name], by[ApacheKafka.name]
        ratio = ours / kafka if kafka else float("inf")
        bound, aim = AIMS[unit]
        mark = "reached" if is_reached(unit, ratio) else "missed"
        lines.append(f"| {what} | {unit} | {ours:.3g} | {kafka:.3g} | {ratio:.2f} | {bound} {aim:g} | {mark} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--home", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--broker", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 3], help="sizes of the clusters (1 3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each load is run on each system (3)")
    parser.add_argument("--records", type=int, default=400_000, help="records of 1 KiB in a load; of 100 B four times as many")
    parser.add_argument("--json", action="store_true", help="figures for programs instead of a table")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    chosen = parser.parse_args()
    jars = chosen.home / "kafka"
    make = {
        Ours.name: lambda nodes: Ours(chosen.broker, chosen.home / "data-ours", nodes),
        ApacheKafka.name: lambda nodes: ApacheKafka(jars, chosen.home / "data-kafka", nodes),
    }
    loads = Loads(jars, str((chosen.home / "rdkafka_performance").resolve()))
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
