#!/usr/bin/env python3
"""Tunnels beside socat on the same path: a Unix socket in front (as the simulator has it), TCP on loopback behind.

    python3 bench/tunnel.py target/tool/parent

Prints throughput with 1 and with 100 connections, and connections per second, each as the median of some rounds in which the two take turns,
and the ratio. The figures of one run only compare with each other.
"""

import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROUNDS = 5
PIECE = 1 << 20


def serve(listener):
    """Sends back one byte for each connection when it has ended, after reading all of it."""

    def one(stream):
        buffer = bytearray(PIECE)
        with stream:
            while stream.recv_into(buffer):
                pass
            stream.sendall(b"!")

    while True:
        stream, _ = listener.accept()
        threading.Thread(target=one, args=(stream,), daemon=True).start()


def call(path, total):
    """Sends `total` bytes, ends, waits for the byte."""
    piece = memoryview(bytes(PIECE))
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(path)
        while total > 0:
            stream.sendall(piece[:total])
            total -= PIECE
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(1) == b"!"


def throughput(path, connections, total):
    """MB/s of `connections` at once that carry `total` bytes together."""
    threads = [threading.Thread(target=call, args=(path, total // connections)) for _ in range(connections)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return total / (time.monotonic() - begin) / 1e6


def rate(path, connections, at_once):
    """Connections per second, each with one byte there and back."""

    def some():
        for _ in range(connections // at_once):
            call(path, 1)

    threads = [threading.Thread(target=some) for _ in range(at_once)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return connections / (time.monotonic() - begin)


def wait_for(path):
    for _ in range(100):
        if path.exists():
            return
        time.sleep(0.05)
    sys.exit(f"{path} did not appear")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        config = folder / "parent.toml"
        config.write_text(
            f'[transport]\nfolder = "{folder}"\n'
            f'[[vsock_proxy.route]]\nvsock_port = 8000\nhost = "127.0.0.1"\nport = {port}\n'
        )
        paths = {"parent": folder / "vsock_8000", "socat": folder / "socat"}
        processes = [
            subprocess.Popen([sys.argv[1], "vsock-proxy", "--config", config], stderr=subprocess.DEVNULL),
            subprocess.Popen(
                ["socat", "-b65536", f"UNIX-LISTEN:{paths['socat']},fork,backlog=512", f"TCP:127.0.0.1:{port},nodelay"]
            ),
        ]
        try:
            for path in paths.values():
                wait_for(path)
            tests = {
                "throughput, 1 connection, MB/s": lambda path: throughput(path, 1, 512 << 20),
                "throughput, 100 connections, MB/s": lambda path: throughput(path, 100, 512 << 20),
                "connections/s, one at a time": lambda path: rate(path, 300, 1),
                "connections/s, 20 at a time": lambda path: rate(path, 600, 20),
            }
            print(f"{'':36}{'parent':>10}{'socat':>10}{'ratio':>8}")
            for name, test in tests.items():
                results = {who: [] for who in paths}
                for _ in range(ROUNDS):
                    for who, path in paths.items():
                        results[who].append(test(str(path)))
                ours, theirs = (statistics.median(results[who]) for who in ("parent", "socat"))
                print(f"{name:36}{ours:10.0f}{theirs:10.0f}{ours / theirs:8.2f}", flush=True)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
