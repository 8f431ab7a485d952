"""Runs a second of load, writes JSON and histogram log, and reads the log back with the Python package hdrhistogram:
the counts and quantiles have to be the report's. Usage: hlog_check.py PATH-OF-loadgrid"""

import json
import os
import subprocess
import sys
import tempfile

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

LOWEST, HIGHEST, DIGITS = 1, (1 << 40) - 1, 3


def main(program):
    service = subprocess.Popen([program, "demo-service", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        url = service.stdout.readline().split()[3]
        with tempfile.TemporaryDirectory() as folder:
            report, log = os.path.join(folder, "run.json"), os.path.join(folder, "run.hlog")
            command = [program, "run", "--url", url, "--rate", "500/s", "--duration", "3s", "-q"]
            subprocess.run(
                [*command, "--report", f"json={report}", "--report", f"hlog={log}"], check=True, stdout=subprocess.DEVNULL
            )
            with open(report) as file:
                latency = json.load(file)["total"]["latency"]
            whole, lines = HdrHistogram(LOWEST, HIGHEST, DIGITS), 0
            reader = HistogramLogReader(log, HdrHistogram(LOWEST, HIGHEST, DIGITS))
            while (interval := reader.get_next_interval_histogram()) is not None:
                whole.add(interval)
                lines += 1
    finally:
        service.terminate()
        service.wait()
    assert lines >= 3, f"{lines} intervals in the log"
    assert whole.get_total_count() == latency["count"], (whole.get_total_count(), latency["count"])
    for name, percentile in (("p50", 50), ("p90", 90), ("p99", 99)):
        theirs, ours = whole.get_value_at_percentile(percentile) / 1e9, latency[name]
        assert abs(theirs - ours) <= 0.001 * ours, (name, theirs, ours)
    print(f"{lines} intervals, {latency['count']} samples: the Python reader agrees")


main(sys.argv[1])
