"""Real broker processes on loopback, one a node, that can be killed and started again."""

import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def api_versions(port, timeout=0.5):
    """The answer to one ApiVersions request of version 0: bytes, or an OSError."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as peer:
        request = struct.pack(">hhih", 18, 0, 1, -1)
        peer.sendall(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", read_exactly(peer, 4))
        return read_exactly(peer, length)


def read_exactly(peer, count):
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise ConnectionError("the broker closed the connection")
        data += part
    return data


class Cluster:
    """`brokers` nodes, all of them voters, below `directory`."""

    def __init__(self, binary, directory, brokers=3, extra="", racks=()):
        self.binary = str(pathlib.Path(binary).resolve())
        self.directory = pathlib.Path(directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.ports = free_ports(brokers)
        self.processes = {}
        voters = ", ".join(f'"{i + 1}@127.0.0.1:{port}"' for i, port in enumerate(self.ports))
        for i, port in enumerate(self.ports):
            node = self.directory / f"broker-{i + 1}"
            node.mkdir(parents=True)
            (node / "broker.toml").write_text(
                f'"node.id" = {i + 1}\n'
                f'"cluster.id" = "compat"\n'
                f'"listeners" = "127.0.0.1:{port}"\n'
                f'"controller.quorum.voters" = [{voters}]\n'
                f'"log.dirs" = "data"\n'
                f'"default.replication.factor" = {min(3, brokers)}\n'
                f'"min.insync.replicas" = {min(2, brokers)}\n'
                + (f'"broker.rack" = "{racks[i]}"\n' if racks else "")
                + extra
            )

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def start(self, node):
        home = self.directory / f"broker-{node}"
        log = open(home / "log.txt", "ab")
        self.processes[node] = subprocess.Popen(
            [self.binary, "serve", "--config", "broker.toml"], cwd=home, stdout=log, stderr=log
        )

    def start_all(self):
        for node in range(1, len(self.ports) + 1):
            self.start(node)
        for port in self.ports:
            self.wait_for(port)

    def wait_for(self, port, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            try:
                return api_versions(port)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def kill(self, node):
        process = self.processes.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def kill_all(self):
        for node in list(self.processes):
            self.kill(node)

    def stop_all(self):
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(timeout=30)
        self.processes.clear()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in list(self.processes):
            self.kill(node)


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
