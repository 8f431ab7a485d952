"""How long a list of 10,000 runs takes: fills a folder in the store's format, then runs a command that lists it.

    tests/bench/store.py [--runs 10000] [--document 20000] [--] [COMMAND …]

COMMAND is target/release/loadgrid runs --store DIR unless given; {} in it stands for the folder.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "golden"))
from stored import ENTRY, stored  # noqa: E402

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LIMIT = 0.2
PARTS = ["latency", "service-time"]
NAMES = ["mean", "p50", "p90", "p95", "p99", "p99.9"]


def ulid(ms, rng):
    number = ms << 80 | rng.getrandbits(80)
    return "".join(DIGITS[number >> 5 * place & 31] for place in reversed(range(26)))


def fill(folder, runs, document):
    rng = random.Random(1)
    text = '"' + "x" * (document - 2) + '"'
    for number in range(runs):
        ms = 1_700_000_000_000 + number * 86_400_000 // 24
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))
        metrics = {f"http/{part}-{name}": rng.random() / 10 for part in PARTS for name in NAMES}
        metrics |= {"http/error-rate": 0.0, "http/rate": 1000 * rng.random()}
        entry = ENTRY | {"id": ulid(ms, rng), "test": f"test-{number % 7}", "started_at": started, "metrics": metrics}
        (folder / f"{entry['id']}.jsonl").write_text(stored(entry, text))


def seconds(command, environment):
    start = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return time.monotonic() - start, len(done.stdout.splitlines())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--document", type=int, default=20_000, help="bytes of each run's document")
    parser.add_argument("command", nargs="*", default=["target/release/loadgrid", "runs", "--store", "{}"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "store" / "runs"
        folder.mkdir(parents=True)
        fill(folder, arguments.runs, arguments.document)
        command = [part.replace("{}", str(folder.parent)) for part in arguments.command]
        environment = os.environ | {"XDG_CACHE_HOME": f"{scratch}/cache"}
        first, lines = seconds(command, environment)
        warm = [seconds(command, environment)[0] for _ in range(15)]
        print(f"{arguments.runs} runs of {arguments.document} bytes, {lines} lines printed")
        print(f"without an index {first * 1000:.0f} ms")
        print(f"with it {statistics.median(warm) * 1000:.0f} ms (median of {len(warm)}, at most {max(warm) * 1000:.0f})")
        return 0 if statistics.median(warm) < LIMIT else f"a list has to take less than {LIMIT * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
