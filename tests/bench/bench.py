"""Measures loadgrid beside its peers and by itself, and prints a table in Markdown.

`bench.py [--quick] [PART…]`: without a name, all parts of PARTS. `--quick` leaves the two-minute memory run out.
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import grpc_unary
import http1
import http2
import peers
from http1 import CONNECTIONS
from measure import BIN, CLIENT, PAIRS, SERVER, loadgrid, measured, pinned, print_table, row


def dispatch_lag(url):
    p50s, p99s, bare_p99s = [], [], []
    for _ in range(PAIRS):
        bare, _, _ = measured(pinned(CLIENT, f"{BIN}/examples/timer_loop", "10000", "3"))
        report, _, _ = loadgrid("--url", url, "--rate", "10000/s", "--connections", str(CONNECTIONS), "--duration", "3s")
        lag = report["total"]["dispatch_lag"]
        p50s.append(lag["p50"] * 1e6)
        p99s.append(lag["p99"] * 1e6)
        bare_p99s.append(float(bare.split()[1]))
        print(f"  lag p50 {p50s[-1]:.1f}, p99 {p99s[-1]:.1f} µs; bare timer loop p50 p99 {bare.strip()}", file=sys.stderr)
    ratio = statistics.median(ours / bare for ours, bare in zip(p99s, bare_p99s))
    p50 = statistics.median(p50s)
    row("dispatch lag p50 at 10,000/s on one lane", f"{p50:.0f} µs", "≤ 60 µs", p50 <= 60)
    row(
        "dispatch lag p99 by a bare timer loop's",
        f"{ratio:.2f} ({statistics.median(p99s):.0f} / {statistics.median(bare_p99s):.0f} µs)",
        "≤ 2",
        ratio <= 2,
    )


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) / 1024


def memory(url):
    command = [f"{BIN}/loadgrid", "run", "--url", url, "--lanes", "1", "-q", "--closed-loop", "--connections", str(CONNECTIONS)]
    process = subprocess.Popen(
        pinned(CLIENT, *command, "--duration", "122s"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(10)
    early = resident_mb(process.pid)
    time.sleep(110)
    late = resident_mb(process.pid)
    process.wait()
    row("resident size, second 10 to second 120 at full rate", f"{late - early:+.1f} MB ({early:.0f} to {late:.0f})", "< 5 MB", late - early < 5)


def coordinator():
    seconds = 15
    with tempfile.TemporaryDirectory() as folder:
        test = os.path.join(folder, "test.yaml")
        requests = "".join(f"    - {{name: r{i}, http: {{url: 'http://127.0.0.1:1/'}}}}\n" for i in range(4))
        with open(test, "w") as file:
            file.write(
                "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {name: large}\nspec:\n  requests:\n"
                f"{requests}  load: {{rate: 500000/s, duration: {seconds}s}}\n  slos: [http/latency-p99 <= 50ms]\n"
            )
        command = [f"{BIN}/loadgrid", "run", test, "--listen", "127.0.0.1:0", "--insecure", "--workers", "1000", "-o", "json"]
        process = subprocess.Popen(pinned(CLIENT, *command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in process.stderr:
            if address := re.search(r"http://\S+", line):
                break
        workers = subprocess.Popen(pinned(SERVER, f"{BIN}/simulated-workers", address.group(0), "1000"))
        for line in process.stderr:
            if " left:" in line:
                break
        clock = os.sysconf("SC_CLK_TCK")
        cpu = lambda: sum(int(field) for field in open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) / clock
        before, began = cpu(), time.monotonic()
        time.sleep(seconds - 5)
        share = (cpu() - before) / (time.monotonic() - began)
        with open(f"/proc/{process.pid}/status") as status:
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1)) / 1024
        out, _ = process.communicate()
        workers.wait()
        report = json.loads(out)
        assert report["load"]["completed"] == report["load"]["planned"], report["load"]
    row("coordinator of 1,000 workers, four series each: share of a core", f"{share * 100:.0f} %", "≤ 30 %", share <= 0.3)
    row("the same: peak resident size", f"{peak:.0f} MB", "≤ 300 MB", peak <= 300)


def one_second(url):
    walls = [loadgrid("--url", url, "--rate", "1000/s", "--duration", "1s")[2] for _ in range(PAIRS)]
    wall = statistics.median(walls)
    row("a one-second run, start to exit", f"{wall:.2f} s", "≤ 1.6 s", wall <= 1.6)


def scratch(part, *arguments):
    """Runs a part that writes a test file."""
    with tempfile.TemporaryDirectory() as folder:
        part(folder, *arguments)


# In the order of the table.
PARTS = {
    "closed": lambda urls: http1.closed_loop(urls.http1),
    "open": lambda urls: http1.open_loop(urls.http1),
    "https": lambda urls: http1.https(urls.https),
    "http2": lambda urls: http2.h2c(urls.h2c),
    "grpc": lambda urls: scratch(grpc_unary.unary),
    "templates": lambda urls: scratch(http1.templates, urls.http1),
    "lag": lambda urls: dispatch_lag(urls.http1),
    "start": lambda urls: one_second(urls.http1),
    "memory": lambda urls: memory(urls.http1),
    "coordinator": lambda urls: coordinator(),
}


def main():
    named = [word for word in sys.argv[1:] if word != "--quick"]
    if unknown := [word for word in named if word not in PARTS]:
        sys.exit(f"no part is named {', '.join(unknown)}; there are {', '.join(PARTS)}")
    left_out = {"memory"} if "--quick" in sys.argv else set()
    with peers.nginx() as urls:
        for name in named or [name for name in PARTS if name not in left_out]:
            PARTS[name](urls)
    print_table()


main()
