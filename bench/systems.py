"""The two systems that are compared: clusters of real processes on loopback, each with its defaults."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "compat"))
from cluster import Cluster, free_ports

HEAP = ["-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"]
"""What Kafka's own start script gives its broker."""


def java(jars, *arguments, options=()):
    return ["java", *options, "-cp", f"{jars}/*", *arguments]


class Ours:
    """Every acknowledged record is synced to the disk first, many with one sync."""

    name = "trial"
    settings = ""

    def __init__(self, binary, directory, nodes):
        self.cluster = Cluster(binary, directory, nodes, self.settings)
        self.directory = pathlib.Path(directory)
        self.bootstrap = self.cluster.bootstrap

    def start(self):
        """Seconds until each node answers its first request."""
        began = time.monotonic()
        self.cluster.start_all()
        return time.monotonic() - began

    @property
    def pids(self):
        return [process.pid for process in self.cluster.processes.values()]

    def stop(self):
        self.cluster.stop_all()
        shutil.rmtree(self.directory)


class OursUnsynced(Ours):
    """An acknowledged record is where Kafka's is by default."""

    name = "trial, flush.policy = os"
    settings = '"flush.policy" = "os"\n'


class ApacheKafka:
    """An acknowledged record is where the operating system keeps it: nothing is synced."""

    name = "Apache Kafka"

    def __init__(self, jars, directory, nodes):
        self.jars = jars
        self.directory = pathlib.Path(directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.clients, controllers = free_ports(nodes), free_ports(nodes)
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self.clients)
        self.processes = []
        voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(controllers, 1))
        for node, (client, controller) in enumerate(zip(self.clients, controllers), 1):
            home = self.directory / f"broker-{node}"
            home.mkdir(parents=True)
            (home / "server.properties").write_text(
                "process.roles=broker,controller\n"
                f"node.id={node}\n"
                f"controller.quorum.voters={voters}\n"
                f"listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}\n"
                f"advertised.listeners=PLAINTEXT://127.0.0.1:{client}\n"
                "controller.listener.names=CONTROLLER\n"
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
                f"log.dirs={(home / 'data').resolve()}\n"
                f"offsets.topic.replication.factor={min(3, nodes)}\n"
                f"default.replication.factor={min(3, nodes)}\n"
                f"min.insync.replicas={min(2, nodes)}\n"
            )

    def start(self):
        cluster_id = uuid.uuid4().hex[:22]
        for home in sorted(self.directory.iterdir()):
            settings = str(home / "server.properties")
            subprocess.run(
                java(self.jars, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", settings),
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        began = time.monotonic()
        for home in sorted(self.directory.iterdir()):
            log = open(home / "log.txt", "wb")
            command = java(self.jars, "kafka.Kafka", str(home / "server.properties"), options=HEAP)
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        for port in self.clients:
            Cluster.wait_for(None, port, seconds=120)
        return time.monotonic() - began

    @property
    def pids(self):
        return [process.pid for process in self.processes]

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(timeout=60)
        shutil.rmtree(self.directory)


def processor_seconds(pids):
    """What the processes used of the processors so far, in user and kernel mode."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_bytes(pids):
    """The most memory that the processes held, each at its own worst moment."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as status:
            (line,) = (line for line in status if line.startswith("VmHWM:"))
        total += int(line.split()[1]) * 1024
    return total
