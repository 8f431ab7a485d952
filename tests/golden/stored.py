"""Writes stored-v1.jsonl, the sample of the result store's format, from report-v1.json. Run by hand, once."""

import json
import zlib
from pathlib import Path

HERE = Path(__file__).parent


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def crc32(text):
    return f"{zlib.crc32(text.encode()):08x}"


def stored(entry, document):
    rest = '",' + compact({"bytes": len(document.encode()), "crc32": crc32(document), "entry": entry})[1:]
    return '{"schema":"loadgrid.dev/stored/v1","head":"' + crc32(rest) + rest + "\n" + document + "\n"


ENTRY = {
    "id": "01JBCDEFGH0123456789ABCDEF",
    "kind": "run",
    "test": "checkout",
    "started_at": "2024-10-29T12:34:56.789Z",
    "duration": 60.0,
    "model": "open loop",
    "arrivals": "poisson",
    "target_rate": 1000.0,
    "requests": "GET /cart; POST /order",
    "verdict": "pass",
    "validity": "valid",
    "metrics": {"http/error-rate": 0.0005, "http/latency-p99": 0.012345, "http/rate": 999.5},
    "loadgrid": "0.1.0",
}

if __name__ == "__main__":
    report = json.loads((HERE / "report-v1.json").read_text())
    (HERE / "stored-v1.jsonl").write_text(stored(ENTRY, compact(report)))
