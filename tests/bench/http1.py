"""HTTP/1.1 beside wrk and oha: closed loop, open loop, TLS, and what a templated body costs."""

import json

from measure import SECONDS, load_test, loadgrid, loadgrid_cpu, pairs, ratio_row, row
from peers import has, oha_cpu, wrk_cpu

CONNECTIONS = 50
CLOSED = ("--closed-loop", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s")
# The body of a request, bytes.
BODY = 1024


def closed_loop(url):
    ours = lambda: loadgrid_cpu("--url", url, *CLOSED)
    if has("wrk"):
        found = pairs("closed loop, loadgrid / wrk", ours, lambda: wrk_cpu(url, CONNECTIONS))
        ratio_row("closed loop, 50 connections: CPU per request by wrk's", found, 0.9)
    if has("oha"):
        found = pairs("closed loop, loadgrid / oha", ours, lambda: oha_cpu(url, CONNECTIONS))
        ratio_row("the same by oha's", found, 0.7)


def open_loop(url):
    if not has("oha"):
        return
    full = loadgrid("--url", url, "--closed-loop", "--connections", str(CONNECTIONS), "--duration", "2s")[0]
    rate = int(full["load"]["achieved_rate"] / 2)
    load = ("--rate", f"{rate}/s", "--connections", str(CONNECTIONS), "--duration", f"{SECONDS}s")
    ours = lambda: loadgrid_cpu("--url", url, *load)
    peer = lambda: oha_cpu(url, CONNECTIONS, "-q", str(rate), "--latency-correction")
    found = pairs(f"open loop at {rate}/s, loadgrid / oha", ours, peer)
    ratio_row(f"open loop at half of that ({rate}/s) by oha's -q --latency-correction", found, 0.7)


def https(url):
    """The server offers HTTP/1.1 alone. Handshakes are few: connections are kept."""
    if not has("wrk"):
        return
    ours = lambda: loadgrid_cpu("--url", url, "--insecure-skip-verify", *CLOSED)
    found = pairs("https, loadgrid / wrk", ours, lambda: wrk_cpu(url, CONNECTIONS))
    ratio_row("https, HTTP/1.1, 50 connections: CPU per request by wrk's", found, 1.0)


def body(number, uuid, amount):
    """JSON of about BODY bytes, as text of YAML in single quotes."""
    head = f'{{"request": {number}, "id": "{uuid}", "amount": {amount}, "note": "'
    # What is filled in has the length of the fixed body's values, on average.
    fixed = len('{"request": 123456, "id": "123e4567-e89b-42d3-a456-426614174000", "amount": 500, "note": "')
    return head + "x" * (BODY - fixed - len('"}')) + '"}'


def templates(folder, url):
    """The same request with a fixed body and with one that is filled in for each request: loadgrid beside itself."""

    def cpu(text):
        headers = "{Content-Type: application/json}"
        request = f"http: {{url: '{url}', method: POST, headers: {headers}, body: {{text: '{text}'}}}}"
        load = f"closedLoop: true, connections: {CONNECTIONS}, duration: {SECONDS}s"
        return loadgrid_cpu(load_test(folder, request, load))

    fixed = body("123456", "123e4567-e89b-42d3-a456-426614174000", "500")
    assert len(fixed) == BODY and json.loads(fixed)
    filled = body("{{request}}", "{{uuid}}", "{{randomInt 1 1000}}")
    found = pairs("templated body, filled in / fixed", lambda: cpu(filled), lambda: cpu(fixed))
    figure = f"{found.difference:+.2f} µs ({found.ours:.1f} − {found.peer:.1f})"
    what = "a body of 1 KB with number, UUID and random integer: more CPU per request than a fixed one"
    row(what, figure, "≤ 1.5 µs", found.difference <= 1.5)
