"""One real broker, misused: each wrong thing gets one clear error or a closed connection, and the broker lives on."""

import argparse
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

from cluster import Cluster, api_versions, free_ports, read_exactly, resident_bytes

IDLE_BYTES_MAX = 40 << 20
FIRST_ANSWER_SECONDS_MAX = 0.3


def frame(body):
    return struct.pack(">i", len(body)) + body


def header(key, version):
    return struct.pack(">hhih", key, version, 7, -1)


def send(port, data):
    """What comes back: bytes, or b"" if the connection was closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as peer:
        peer.sendall(data)
        try:
            peer.shutdown(socket.SHUT_WR)
            return peer.recv(65536)
        except ConnectionError:
            return b""


BAD_FRAMES = {
    "a length of two billion": struct.pack(">i", 2_000_000_000) + b"xxxx",
    "a negative length": struct.pack(">i", -5) + b"xxxx",
    "an empty frame": frame(b""),
    "three bytes": frame(b"\0\x03\0"),
    "an unknown API": frame(header(999, 0)),
    "an unserved version": frame(header(3, 99)),
    "a body of two billion topics": frame(header(3, 1) + struct.pack(">i", 2_147_483_647)),
    "a compact body of two billion topics": frame(header(3, 12) + b"\0" + b"\xff\xff\xff\xff\x0f"),
    "a produce request cut short": frame(header(0, 7) + b"\0\0"),
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "noise": frame(os.urandom(500)),
}


def refuses_bad_frames(cluster):
    port = cluster.ports[0]
    before = resident_bytes(cluster.processes[1].pid)
    for _ in range(20):
        for name, data in BAD_FRAMES.items():
            answer = send(port, data)
            if answer:
                sys.exit(f"{name} was answered with {answer!r}")
            api_versions(port)
    for key in range(0, 93):
        for version in range(0, 14):
            send(port, frame(header(key, version) + os.urandom(64)))
    api_versions(port)
    grown = resident_bytes(cluster.processes[1].pid) - before
    if grown > 20 << 20:
        sys.exit(f"bad frames cost {grown >> 20} MiB")
    print(f"  bad frames: connections closed, the broker lives, {grown >> 10} KiB more memory", flush=True)


def answers_a_too_new_api_versions(cluster):
    """KIP-511: error 35 in a version 0 body, with the range that is served."""
    with socket.create_connection(("127.0.0.1", cluster.ports[0]), timeout=5) as peer:
        peer.sendall(frame(header(18, 77)))
        (length,) = struct.unpack(">i", read_exactly(peer, 4))
        body = read_exactly(peer, length)
    correlation, error = struct.unpack(">ih", body[:6])
    if (correlation, error) != (7, 35):
        sys.exit(f"a too new ApiVersions was answered with {body!r}")
    print("  a too new ApiVersions: error 35 and what is served", flush=True)


def fails(what, arguments, cwd, *words, code=None):
    done = subprocess.run(arguments, cwd=cwd, capture_output=True, text=True, timeout=30)
    said = done.stderr.strip() or done.stdout.strip()
    if done.returncode == 0 or (code is not None and done.returncode != code):
        sys.exit(f"{what}: exit {done.returncode}, and said {said!r}")
    for word in words:
        if word not in said:
            sys.exit(f"{what}: the error does not say {word!r}: {said!r}")
    if "panicked" in said:
        sys.exit(f"{what}: panicked: {said!r}")
    first = next(line for line in said.splitlines() if line.strip())
    print(f"  {what}: exit {done.returncode}: {first.strip()[:110]}", flush=True)


def explains_bad_starts(cluster, binary):
    node = cluster.directory / "broker-1"
    other = cluster.directory / "other"
    other.mkdir()
    port, second = free_ports(2)
    fails("a port in use", [binary, "serve", "--listen", f"127.0.0.1:{cluster.ports[0]}", "--data", "fresh"], other,
          "somebody else listens there")
    fails("a data directory in use", [binary, "serve", "--listen", f"127.0.0.1:{port}", "--data", str(node / "data")], other,
          "in use by another process")
    single = other / "single.toml"
    base = f'"listeners" = "127.0.0.1:{second}"\n"controller.quorum.voters" = ["1@127.0.0.1:{second}"]\n"log.dirs" = "mine"\n'
    single.write_text(base + '"cluster.id" = "first"\n')
    started = subprocess.Popen([binary, "serve", "--config", "single.toml"], cwd=other,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cluster.wait_for(second)
    started.kill()
    started.wait()
    single.write_text(base + '"cluster.id" = "second"\n')
    fails("a data directory of another cluster", [binary, "serve", "--config", "single.toml"], other, "first", "second")
    single.write_text(base + '"log.segment.bytez" = 4\n')
    fails("a wrong key", [binary, "serve", "--config", "single.toml"], other, "log.segment.bytez", "log.segment.bytes", code=2)
    single.write_text(base + '"log.segment.bytes" = "many"\n')
    fails("a wrong value", [binary, "serve", "--config", "single.toml"], other, "log.segment.bytes", code=2)
    fails("a missing file", [binary, "serve", "--config", "nowhere.toml"], other, "nowhere.toml", code=2)


def is_light_and_quick(binary, directory):
    (port,) = free_ports(1)
    home = pathlib.Path(directory) / "light"
    home.mkdir()
    began = time.monotonic()
    process = subprocess.Popen([binary, "serve", "--listen", f"127.0.0.1:{port}"], cwd=home,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                api_versions(port)
                break
            except OSError:
                if time.monotonic() - began > 10:
                    sys.exit("the broker does not answer")
                time.sleep(0.002)
        seconds = time.monotonic() - began
        time.sleep(2)
        resident = resident_bytes(process.pid)
    finally:
        process.kill()
        process.wait()
    print(f"  idle: {resident / (1 << 20):.1f} MiB resident; first ApiVersions after {seconds * 1000:.0f} ms", flush=True)
    if resident > IDLE_BYTES_MAX:
        sys.exit("an idle broker must stay under 40 MiB")
    if seconds > FIRST_ANSWER_SECONDS_MAX:
        sys.exit("the first ApiVersions must be answered within 300 ms")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--broker", required=True)
    binary = str(pathlib.Path(arguments.parse_args().broker).resolve())
    with tempfile.TemporaryDirectory() as directory, Cluster(binary, pathlib.Path(directory) / "cluster", brokers=1) as cluster:
        cluster.start_all()
        answers_a_too_new_api_versions(cluster)
        refuses_bad_frames(cluster)
        explains_bad_starts(cluster, binary)
        is_light_and_quick(binary, directory)
    print("misuse: 4 passed, 0 failed", flush=True)


if __name__ == "__main__":
    main()
