"""Searches and comparisons on real runs: what the simulations promise, against the demo service and nginx on loopback.

    tests/statistics/real.py [--loadgrid target/release/loadgrid] [PART …]      parts: searches pairs nginx

Prints what was found and ends with 1 if a bar does not hold. It wants a machine that does nothing else.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PORT = 8471
SEARCHES = 3
PAIRS = 20
SECONDS = 5


class Service:
    """A demo service, for as long as the block lasts."""

    def __init__(self, loadgrid, port, *arguments):
        self.command = [loadgrid, "demo-service", "--listen", f"127.0.0.1:{port}", *arguments]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def call(loadgrid, *arguments):
    done = subprocess.run([loadgrid, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1, 3):
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}")
    return json.loads(done.stdout)


def search(loadgrid, url, slo, start, *more):
    began = time.monotonic()
    report = call(loadgrid, "capacity", "--url", url, "--slo", slo, "--from", start, "--no-store", "-q", "-o", "json", *more)
    return report, time.monotonic() - began


def searches(loadgrid):
    """Eight places of 10 ms each: 800/s by arithmetic. Three searches in a row, two minutes each."""
    holds = True
    with Service(loadgrid, PORT, "--latency", "fixed:10ms", "--workers", "8"):
        for number in range(SEARCHES):
            slo = "http/latency-p99 <= 200ms"
            report, took = search(loadgrid, f"http://127.0.0.1:{PORT}/", slo, "200/s", "--budget", "2m")
            off = report["estimate"] / 800 - 1 if report["estimate"] else float("nan")
            good = abs(off) <= 0.05 and took <= 125
            holds &= good
            print(
                f"search {number + 1}: {report['summary']}; truth 800/s, off by {off:+.1%}; "
                f"{len(report['probes'])} probes, {took:.0f} s: {'yes' if good else 'NO'}",
                flush=True,
            )
    return holds


def pairs(loadgrid):
    """Twenty pairs of the same test against the same service: no difference in at least 18."""
    different = []
    with Service(loadgrid, PORT, "--latency", "lognormal:5ms,0.4"), tempfile.TemporaryDirectory() as folder:
        for number in range(PAIRS):
            paths = [str(Path(folder, f"{number}-{side}.json")) for side in "ab"]
            for path in paths:
                arguments = ["run", "--url", f"http://127.0.0.1:{PORT}/", "--rate", "500/s", "--duration", f"{SECONDS}s"]
                report = call(loadgrid, *arguments, "--warmup", "1s", "--no-store", "-q", "-o", "json")
                Path(path).write_text(json.dumps(report))
            done = subprocess.run([loadgrid, "compare", *paths, "-o", "json"], stdout=subprocess.PIPE, text=True)
            verdict = json.loads(done.stdout)["verdict"] if done.returncode == 0 else f"refused ({done.returncode})"
            if verdict != "same":
                different.append(f"{number + 1}: {verdict}")
    same = PAIRS - len(different)
    print(f"A/A: no difference in {same} of {PAIRS} pairs {different}: {'yes' if same >= 18 else 'NO'}")
    return same >= 18


def nginx(loadgrid):
    """A server that is faster than one lane: whatever is said must not be more than was measured."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "conf").write_text(
            f"daemon off; worker_processes 1; pid {root}/pid; error_log {root}/log;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; server {{ listen 127.0.0.1:{PORT}; location / {{ return 200 ok; }} }} }}\n"
        )
        server = subprocess.Popen(["/usr/sbin/nginx", "-c", str(root / "conf")])
        time.sleep(0.5)
        try:
            more = ("--budget", "2m", "--max", "100000/s")
            report, took = search(loadgrid, f"http://127.0.0.1:{PORT}/", "http/latency-p99 <= 20ms", "2000/s", *more)
        finally:
            server.terminate()
            server.wait()
    print(f"nginx: {report['summary']}; {'; '.join(report['reasons'])}; {len(report['probes'])} probes, {took:.0f} s")
    held = [probe["rate"] for probe in report["probes"] if probe["outcome"] == "held"]
    good = report["low"] is None or report["low"] <= max(held)
    print(f"nginx: not more than what held ({max(held, default=0):.0f}/s): {'yes' if good else 'NO'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loadgrid", default="target/release/loadgrid")
    parser.add_argument("parts", nargs="*", metavar="PART")
    arguments = parser.parse_args()
    parts = {"searches": searches, "pairs": pairs, "nginx": nginx}
    wanted = arguments.parts or list(parts)
    holds = [parts[part](arguments.loadgrid) for part in wanted]
    sys.exit(0 if all(holds) else 1)


if __name__ == "__main__":
    main()
