"""Measures loadgrid beside its peers: ratios within one run, in turn (A B A B), by CPU per request.

CPU is user + system of the whole client process, from the operating system's accounting of the finished process.
The client is pinned to one core and nginx to the other.
"""

import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BIN = "target/release"
CLIENT, SERVER = "0", "1"
PAIRS = 5
SECONDS = 8
CONNECTIONS = 50

NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "hello world"; }} }}
}}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


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


def loadgrid(url, *args):
    out, cpu, wall = measured(
        pinned(CLIENT, f"{BIN}/loadgrid", "run", "--url", url, "--lanes", "1", "-q", "-o", "json", *args)
    )
    return json.loads(out), cpu, wall


def loadgrid_cpu(url, *args):
    report, cpu, _ = loadgrid(url, *args)
    return cpu * 1e6 / report["load"]["sent"], report


def wrk_cpu(url):
    out, cpu, _ = measured(pinned(CLIENT, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url))
    return cpu * 1e6 / int(re.search(r"(\d+) requests in", out).group(1))


def oha_cpu(url, *args):
    command = ["oha", "--no-tui", "--output-format", "json", "-c", str(CONNECTIONS), "-z", f"{SECONDS}s", *args, url]
    out, cpu, _ = measured(pinned(CLIENT, *command))
    return cpu * 1e6 / sum(json.loads(out)["statusCodeDistribution"].values())


def pairs(name, ours, peer):
    """Ratios pair by pair; the peer comes first in every other pair."""
    found = []
    for number in range(PAIRS):
        if number % 2:
            a, b = ours(), None
            b = peer()
        else:
            b = peer()
            a = ours()
        found.append((a, b, a / b))
        print(f"  {name}: {a:.2f} / {b:.2f} = {a / b:.3f}", file=sys.stderr)
    return [statistics.median(column) for column in zip(*found)]


rows = []


def row(what, figure, bar, holds):
    rows.append((what, figure, bar, "yes" if holds else "NO"))


def closed_loop(url):
    ours = lambda: loadgrid_cpu(url, "--closed-loop", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s")[0]
    if shutil.which("wrk"):
        a, b, ratio = pairs("closed loop, loadgrid / wrk", ours, lambda: wrk_cpu(url))
        row("closed loop, 50 connections: CPU per request by wrk's", f"{ratio:.2f} ({a:.1f} / {b:.1f} µs)", "≤ 0.90", ratio <= 0.9)
    if shutil.which("oha"):
        a, b, ratio = pairs("closed loop, loadgrid / oha", ours, lambda: oha_cpu(url))
        row("the same by oha's", f"{ratio:.2f} ({a:.1f} / {b:.1f} µs)", "≤ 0.70", ratio <= 0.7)


def open_loop(url):
    if not shutil.which("oha"):
        return
    full = loadgrid(url, "--closed-loop", "--connections", str(CONNECTIONS), "--duration", "2s")[0]
    rate = int(full["load"]["achieved_rate"] / 2)
    ours = lambda: loadgrid_cpu(url, "--rate", f"{rate}/s", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s")[0]
    peer = lambda: oha_cpu(url, "-q", str(rate), "--latency-correction")
    a, b, ratio = pairs(f"open loop at {rate}/s, loadgrid / oha", ours, peer)
    row(f"open loop at half of that ({rate}/s) by oha's -q --latency-correction", f"{ratio:.2f} ({a:.1f} / {b:.1f} µs)", "≤ 0.70", ratio <= 0.7)


def dispatch_lag(url):
    p50s, p99s, bare_p99s = [], [], []
    for _ in range(PAIRS):
        bare, _, _ = measured(pinned(CLIENT, f"{BIN}/examples/timer_loop", "10000", "3"))
        report, _, _ = loadgrid(url, "--rate", "10000/s", "--connections", str(CONNECTIONS), "--duration", "3s")
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
    walls = [loadgrid(url, "--rate", "1000/s", "--duration", "1s")[2] for _ in range(PAIRS)]
    wall = statistics.median(walls)
    row("a one-second run, start to exit", f"{wall:.2f} s", "≤ 1.6 s", wall <= 1.6)


def main():
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w") as file:
            file.write(NGINX.format(dir=folder, port=port))
        nginx = subprocess.Popen(pinned(SERVER, "nginx", "-p", folder, "-c", config), stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            url = f"http://127.0.0.1:{port}/"
            closed_loop(url)
            open_loop(url)
            dispatch_lag(url)
            one_second(url)
            if "--quick" not in sys.argv:
                memory(url)
        finally:
            nginx.send_signal(signal.SIGTERM)
            nginx.wait()
    coordinator()
    print("| what | measured | bar | holds |\n|---|---:|---:|---|")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")
    print(f"\nMedians of {PAIRS} pairs in turn; client pinned to one core, nginx to the other.")


main()
