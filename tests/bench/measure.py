"""How programs are compared: ratios within one run, in turn (A B A B), by CPU per request. Knows no peer and no target.

CPU is user + system of the whole client process, from the operating system's accounting of the finished process.
The client is pinned to one core and its server to the other.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

BIN = "target/release"
# What is built for the comparisons alone.
BENCH_BIN = "target/bench"
CLIENT, SERVER = "0", "1"
PAIRS = 5
SECONDS = 8


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_port(port):
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


def pinned(core, *command):
    return ["taskset", "-c", core, *command]


def measured(command):
    """Runs a command to its end: (stdout, CPU seconds, wall seconds)."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        out.seek(0)
        return out.read().decode(), usage.ru_utime + usage.ru_stime, wall


def loadgrid(*args):
    """A run on one lane: (its report, CPU seconds, wall seconds)."""
    out, cpu, wall = measured(pinned(CLIENT, f"{BIN}/loadgrid", "run", "--lanes", "1", "-q", "-o", "json", *args))
    return json.loads(out), cpu, wall


def loadgrid_cpu(*args):
    """Microseconds of CPU per request."""
    report, cpu, _ = loadgrid(*args)
    load = report["load"]
    assert load["completed"] > 0.99 * load["sent"], f"what fails is not compared: {load}"
    return cpu * 1e6 / load["sent"]


def load_test(folder, request, load):
    """A test of one request, both in YAML's flow style: the path of its file."""
    path = os.path.join(folder, "test.yaml")
    with open(path, "w") as file:
        file.write(
            "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {name: bench}\n"
            f"spec:\n  requests: [{{name: one, {request}}}]\n  load: {{{load}}}\n"
        )
    return path


class Medians(NamedTuple):
    """Of pairs in turn. The ratio and the difference are of each pair, before the median."""

    ours: float
    peer: float
    ratio: float
    difference: float

    def __str__(self):
        return f"{self.ratio:.2f} ({self.ours:.1f} / {self.peer:.1f} µs)"


def pairs(name, ours, peer):
    """Runs both in turn; the peer comes first in every other pair."""
    found = []
    for number in range(PAIRS):
        if number % 2:
            a = ours()
            b = peer()
        else:
            b = peer()
            a = ours()
        found.append((a, b, a / b, a - b))
        print(f"  {name}: {a:.2f} / {b:.2f} = {a / b:.3f}", file=sys.stderr)
    return Medians(*(statistics.median(column) for column in zip(*found)))


rows = []


def row(what, figure, bar=None, holds=None):
    """A line of the table. What has no bar yet is only told."""
    rows.append((what, figure, bar or "none", "–" if holds is None else "yes" if holds else "NO"))


def ratio_row(what, medians, bar=None):
    row(what, str(medians), bar and f"≤ {bar:.2f}", bar and medians.ratio <= bar)


def print_table():
    print("| what | measured | bar | holds |\n|---|---:|---:|---|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    print(f"\nMedians of {PAIRS} pairs in turn; client pinned to one core, its server to the other.")
