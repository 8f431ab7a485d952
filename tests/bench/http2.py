"""HTTP/2 without TLS beside h2load, on few connections with one stream and with many."""

from measure import SECONDS, loadgrid_cpu, pairs, ratio_row
from peers import h2load_cpu, has

CONNECTIONS = 10


def h2c(url):
    if not has("h2load"):
        return
    for streams in (1, 20):
        beside_h2load(url, streams)


def beside_h2load(url, streams):
    size = ("--connections", str(CONNECTIONS), "--streams", str(streams), "--duration", f"{SECONDS}s")
    ours = lambda: loadgrid_cpu("--url", url, "--http", "2", "--closed-loop", *size)
    found = pairs(f"h2c 10 × {streams}, loadgrid / h2load", ours, lambda: h2load_cpu(url, CONNECTIONS, streams))
    ratio_row(f"HTTP/2, {CONNECTIONS} connections, open streams of each {streams}: CPU per request by h2load's", found, 1.05)
