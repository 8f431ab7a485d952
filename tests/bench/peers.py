"""The programs that loadgrid is compared with, and the servers that are asked. Knows nothing of loadgrid.

`python3 tests/bench/peers.py` runs each once, briefly: whether they work here.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

from measure import BENCH_BIN, CLIENT, SECONDS, SERVER, await_port, free_port, measured, pinned

TARGETS = os.path.join(os.path.dirname(__file__), "..", "targets")
GRPC_METHOD = "helloworld.Greeter/SayHello"
GRPC_NAME = "loadgrid"

# `listen … http2` is understood by all versions, `http2 on` from 1.25.1. The TLS port speaks HTTP/1.1 alone: wrk does.
NGINX = """
worker_processes 1; daemon off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600;
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u;
  scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{http1} backlog=4096; location / {{ return 200 "hello world"; }} }}
  server {{ listen 127.0.0.1:{h2c} http2 backlog=4096; location / {{ return 200 "hello world"; }} }}
  server {{
    listen 127.0.0.1:{https} ssl backlog=4096; ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
    location / {{ return 200 "hello world"; }}
  }}
}}
"""


class Urls(NamedTuple):
    http1: str
    h2c: str
    https: str


@contextlib.contextmanager
def ended(process):
    """Ends a server after its use."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextlib.contextmanager
def nginx():
    """nginx on the servers' core: its URLs."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
            + ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
            + ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        ports = {name: free_port() for name in Urls._fields}
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w") as file:
            file.write(NGINX.format(dir=folder, **ports))
        command = pinned(SERVER, "nginx", "-p", folder, "-c", config)
        with ended(subprocess.Popen(command, stderr=subprocess.DEVNULL)):
            for port in ports.values():
                await_port(port)
            schemes = {"http1": "http", "h2c": "http", "https": "https"}
            yield Urls(**{name: f"{schemes[name]}://127.0.0.1:{port}/" for name, port in ports.items()})


@contextlib.contextmanager
def grpc_server():
    """The gRPC server in Go on the servers' core: its process and port."""
    command = pinned(SERVER, f"{BENCH_BIN}/grpc_server")
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        yield process, int(process.stdout.readline())


def has(program):
    """Whether it is installed, or was built for this."""
    path = shutil.which(program) or shutil.which(program, path=BENCH_BIN)
    if not path:
        print(f"NOT COMPARED: {program} is missing", file=sys.stderr)
    return path


def wrk_cpu(url, connections, seconds=SECONDS):
    out, cpu, _ = measured(pinned(CLIENT, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url))
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    return cpu * 1e6 / int(re.search(r"(\d+) requests in", out).group(1))


def oha_cpu(url, connections, *args, seconds=SECONDS):
    command = ["oha", "--no-tui", "--output-format", "json", "-c", str(connections), "-z", f"{seconds}s", *args, url]
    out, cpu, _ = measured(pinned(CLIENT, *command))
    return cpu * 1e6 / sum(json.loads(out)["statusCodeDistribution"].values())


def h2load(url, connections, streams, *args, seconds=SECONDS):
    """HTTP/2 on one thread: (microseconds of CPU per request, requests)."""
    command = ["h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", *args, url]
    out, cpu, _ = measured(pinned(CLIENT, *command))
    done, succeeded, failed = map(int, re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed", out).groups())
    good = int(re.search(r"status codes: (\d+) 2xx", out).group(1))
    assert done == succeeded and failed == 0 and good >= done > 0, out
    return cpu * 1e6 / done, done


def h2load_cpu(*args, **options):
    return h2load(*args, **options)[0]


def grpc_frame():
    """The request as gRPC frames it: not compressed, its length, and the field 1 of HelloRequest."""
    name = GRPC_NAME.encode()
    message = bytes([0x0A, len(name)]) + name
    return b"\0" + len(message).to_bytes(4, "big") + message


def h2load_grpc(port, connections, streams, seconds=SECONDS):
    """The frames of a unary call from h2load, which looks at no trailers: (microseconds of CPU per call, calls)."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(grpc_frame())
        file.flush()
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        url = f"http://127.0.0.1:{port}/{GRPC_METHOD}"
        return h2load(url, connections, streams, "-d", file.name, *headers, seconds=seconds)


def ghz_cpu(port, connections, streams, seconds=SECONDS):
    command = [has("ghz"), "--insecure", "--import-paths", TARGETS, "--proto", "helloworld.proto"]
    command += ["--call", GRPC_METHOD, "-d", json.dumps({"name": GRPC_NAME}), "-O", "json"]
    command += ["-c", str(connections * streams), "--connections", str(connections), "-z", f"{seconds}s"]
    out, cpu, _ = measured(pinned(CLIENT, *command, f"127.0.0.1:{port}"))
    report = json.loads(out)
    good = report["statusCodeDistribution"].get("OK", 0)
    # The calls that fly at the end are given up.
    assert report["count"] - good <= connections * streams, report["statusCodeDistribution"]
    return cpu * 1e6 / good


def main():
    seconds = 2
    with nginx() as urls:
        for name, url in (("http", urls.http1), ("https", urls.https)):
            if has("wrk"):
                print(f"wrk {name}, 50 connections: {wrk_cpu(url, 50, seconds):.2f} µs")
        if has("oha"):
            print(f"oha http, 50 connections: {oha_cpu(urls.http1, 50, seconds=seconds):.2f} µs")
        if has("h2load"):
            for streams in (1, 20):
                print(f"h2load h2c, 10 × {streams}: {h2load_cpu(urls.h2c, 10, streams, seconds=seconds):.2f} µs")
    if has("grpc_server") and has("h2load"):
        with grpc_server() as (process, port):
            cpu, calls = h2load_grpc(port, 10, 20, seconds)
            process.send_signal(signal.SIGTERM)
            answered = int(process.stdout.read().split()[1])
        # h2load looks at no grpc-status: the server must have known the method.
        assert answered >= calls, f"h2load says {calls} calls, the server answered {answered}"
        print(f"h2load gRPC, 10 × 20: {cpu:.2f} µs")
    if has("grpc_server") and has("ghz"):
        with grpc_server() as (_, port):
            print(f"ghz, 10 × 20: {ghz_cpu(port, 10, 20, seconds):.2f} µs")


if __name__ == "__main__":
    main()
