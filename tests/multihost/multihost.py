"""A grid over namespaces, with and without trouble on its network: see tests/multihost/run, which starts it.

The workers' monotonic clocks are hours apart where the kernel has time namespaces. What their reports say of their
starts is compared with what one clock on the wire saw.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Two networks: what happens to the one between coordinator and workers does not touch the one to the target.
CONTROL, DATA = "10.231.7.", "10.231.8."
COORDINATOR, TARGET = CONTROL + "1", DATA + "1"
WORKERS = {"w1": 11, "w2": 12, "w3": 13}
RATE, SECONDS = 1000, 6
# For each worker the delay towards it and back, and jitter, s; loss.
EVEN, SLOW_THERE, SLOW_BACK = (0.020, 0.020, 0.005, 0.01), (0.060, 0.005, 0.002, 0.01), (0.005, 0.060, 0.002, 0.01)
CASES = {
    "clean": None,
    "20ms ± 5ms each way, 1% lost": {"w1": EVEN, "w2": EVEN, "w3": EVEN},
    "one way slower than the other, 1% lost": {"w1": EVEN, "w2": SLOW_THERE, "w3": SLOW_BACK},
}
# From one request of a worker to its next, and in the order of the workers a third of that; s.
SPACING = len(WORKERS) / RATE
# From a worker's clock to the wire, for the request that was least late; s.
ON_ITS_WAY = 0.001
PATIENCE = 90
# What else the machine does waits for the grid: it is the network that is to be in its way. Empty where that is not
# allowed.
FIRST = []


def do(*command):
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def can(*command):
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def within(namespace, *command):
    return ["ip", "netns", "exec", namespace, *FIRST, *command]


@contextlib.contextmanager
def running(command, ready=None, **options):
    """A process that ends with the block; `ready` is what its first line begins with."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            line = process.stdout.readline() if ready else ""
            if ready and not line.startswith(ready):
                raise RuntimeError(f"{command} did not come up: {line}")
            yield process
        finally:
            process.kill()


def card(namespace, network, address, number):
    """A network's interface in a namespace: outside it is `network-namespace`."""
    outside = f"{network}-{namespace}"
    do("ip", "link", "add", outside, "type", "veth", "peer", "name", network, "netns", namespace)
    do("ip", "link", "set", outside, "master", network, "up")
    up(namespace, network, address, number)


def up(namespace, network, address, number):
    # Whoever has an address has the same card each time: others remember it.
    do("ip", "-n", namespace, "link", "set", network, "address", f"02:00:00:00:00:{number:02x}")
    do("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", network)
    do("ip", "-n", namespace, "link", "set", network, "up")


def networks():
    for network in ("control", "data"):
        do("ip", "link", "add", network, "type", "bridge")
        do("ip", "link", "set", network, "up")
    for namespace in ("grid", "target", *WORKERS):
        do("ip", "netns", "add", namespace)
        do("ip", "-n", namespace, "link", "set", "lo", "up")
    card("grid", "control", COORDINATOR, 1)
    card("target", "data", TARGET, 2)
    for name, number in WORKERS.items():
        card(name, "data", f"{DATA}{number}", number + 100)


def netem(delay, jitter, loss):
    """What `tc` is told."""
    return ["root", "netem", "delay", f"{delay * 1e3:g}ms", f"{jitter * 1e3:g}ms", "loss", f"{loss * 100:g}%"]


def has_netem():
    added = can("tc", "qdisc", "add", "dev", "lo", *netem(0.001, 0.0, 0.01))
    return added and can("tc", "qdisc", "del", "dev", "lo", "root")


@contextlib.contextmanager
def reach(name, trouble, kernel):
    """A worker's way to the coordinator, with this trouble on it."""
    number = WORKERS[name]
    address = f"{CONTROL}{number}"
    with contextlib.ExitStack() as stack:
        if trouble is None or kernel:
            card(name, "control", address, number)
            if trouble:
                there, back, jitter, loss = trouble
                do("tc", "qdisc", "add", "dev", f"control-{name}", *netem(there, jitter, loss))
                do("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "control", *netem(back, jitter, loss))
        else:
            near = f"control-{name}"
            wire = [*FIRST, "python3", "-B", f"{HERE}/wire.py", near, "far", *map(str, trouble)]
            stack.enter_context(running(wire, ready="ready"))
            do("ip", "link", "set", near, "master", "control", "up")
            do("ip", "link", "set", "far", "netns", name, "name", "control")
            up(name, "control", address, number)
        try:
            yield
        finally:
            can("ip", "-n", name, "link", "del", "control")


def worker(programs, certs, name, hours):
    clock = ["unshare", "--time", "--monotonic", str(hours * 3600), "--fork", "--kill-child"] if hours else []
    own = ["--coordinator", f"https://{COORDINATOR}:7400", "--tls-dir", certs, "--lanes", "1", "--name", name, "--once"]
    return within(name, *clock, f"{programs}/loadgrid-worker", *own)


def drive(programs, certs, clocks):
    """A run over the grid: its report, and of each worker when its first request went by and its plan began, s."""
    with contextlib.ExitStack() as stack:
        watch = ["python3", "-B", f"{HERE}/watch.py", "8080", str(SPACING), *(f"data-{name}" for name in WORKERS)]
        watch = stack.enter_context(running(watch, ready="ready", stdin=subprocess.PIPE))
        said = stack.enter_context(tempfile.TemporaryFile("w+"))
        for number, name in enumerate(WORKERS, 1):
            command = worker(programs, certs, name, number * 5 if clocks else 0)
            stack.enter_context(running(command, stderr=said))
        run = [f"{programs}/loadgrid", "run", "--listen", f"{COORDINATOR}:7400", "--tls-dir", certs, "--workers", "3"]
        run += ["--url", f"http://{TARGET}:8080/", "--rate", f"{RATE}/s", "--duration", f"{SECONDS}s", "-o", "json"]
        run += ["--slo", "http/error-rate <= 0", "--seed", "1", "--no-store", "--join-timeout", "20s", "--quiet"]
        done = subprocess.run(within("grid", *run), capture_output=True, text=True, timeout=PATIENCE)
        if done.returncode not in (0, 1, 3) or not done.stdout:
            said.seek(0)
            raise RuntimeError(f"the run ended with {done.returncode}: {done.stderr}\nthe workers said: {said.read()}")
        lines = watch.communicate(timeout=PATIENCE)[0].split("\n")
    seen = [line.removeprefix("data-").split() for line in lines if line]
    return done.returncode, json.loads(done.stdout), {name: (float(first), float(start)) for name, first, start in seen}


def spread(values):
    return max(values) - min(values)


def milliseconds(values):
    return ", ".join("none" if value is None else f"{1e3 * value:.3f}" for value in values)


def show(name, report, seen):
    load, latency = report["load"], report["total"]["latency"]
    starts = {worker: start for worker, (_, start) in seen.items()}
    print(f"== {name}: {report['verdict']}, {report['validity']}, coverage {load['coverage']:.6f}, {load['sent']} sent")
    skews, bounds = ([worker[key] for worker in report["workers"]] for key in ("start_skew", "clock_bound"))
    print(f"   reported: skew {milliseconds(skews)} ms, known to ±{milliseconds(bounds)} ms")
    print(f"   seen on the wire: plans began {1e3 * spread(starts.values()):.3f} ms apart", end="")
    print(f", first requests {1e3 * spread([first for first, _ in seen.values()]):.3f} ms")
    print(f"   latency p50 {1e3 * latency['p50']:.2f} ms, p99 {1e3 * latency['p99']:.2f} ms", flush=True)


def judge(name, code, report, seen):
    """What did not hold."""
    if seen.keys() != WORKERS.keys():
        return [f"{name}: requests of {sorted(seen)} alone went by"]
    show(name, report, seen)
    load, starts = report["load"], {worker: start for worker, (_, start) in seen.items()}
    bounds = {worker["id"]: worker["clock_bound"] for worker in report["workers"]}
    wrong = []
    if code != 0 or report["verdict"] != "pass" or report["validity"] == "invalid":
        tripped = [f"{gate['gate']}: {gate['saw']}" for gate in report["audit"] if gate["state"] != "ok"]
        wrong.append(f"exit code {code}, {report['verdict']}, {report['validity']}: {report['reasons']} {tripped}")
    if load["coverage"] != 1 or load["sent"] != load["planned"] or load["sent"] != RATE * SECONDS:
        wrong.append(f"{load['sent']} of {load['planned']} sent, {load['lost']} lost, {load['dropped']} dropped")
    # There is one start that agrees with what was seen of every worker and what each one's clock may be off by.
    latest_earliest = max(starts[worker] - bounds[worker] - SPACING - ON_ITS_WAY for worker in WORKERS)
    earliest_latest = min(starts[worker] + bounds[worker] for worker in WORKERS)
    if latest_earliest > earliest_latest:
        wrong.append(f"no one start agrees with what was seen: {starts}, bounds {bounds}")
    for worker, (there, back, jitter, _) in (CASES[name] or {}).items():
        if bounds[worker] < (there + back) / 2 - jitter:
            wrong.append(f"{worker}'s clock is said to be known to {bounds[worker]} s: closer than its network allows")
    return [f"{name}: {what}" for what in wrong]


def left_out(why):
    print(f"== SKIPPED, NOT TESTED: multi-host: {why}", file=sys.stderr)
    return 3


def main():
    programs = sys.argv[1]
    probe = ["ip", "link", "add", "probe", "type"]
    if not (can("ip", "netns", "add", "probe") and can(*probe, "bridge") and can("ip", "link", "del", "probe")):
        return left_out("network namespaces and bridges can't be had")
    networks()
    FIRST.extend(["chrt", "--rr", "1"] if can("chrt", "--rr", "1", "true") else [])
    kernel = has_netem()
    if not kernel and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return left_out("the kernel has no netem, and there is no /dev/net/tun to do without")
    clocks = can("unshare", "--time", "--monotonic", "3600", "--fork", "true")
    print("== delay and loss by", "tc netem" if kernel else "tests/multihost/wire.py, for want of netem in this kernel")
    ahead = "5, 10 and 15 hours ahead" if clocks else "the coordinator's, for want of time namespaces"
    print(f"== the workers' clocks are {ahead}")
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        certs = os.path.join(folder, "certs")
        do(f"{programs}/loadgrid", "certs", certs, "--name", COORDINATOR)
        demo = [f"{programs}/loadgrid", "demo-service", "--listen", f"{TARGET}:8080", "--latency", "fixed:2ms"]
        with running(within("target", *demo), ready="demo service"):
            for name, trouble in CASES.items():
                with contextlib.ExitStack() as ways:
                    for each in WORKERS:
                        ways.enter_context(reach(each, (trouble or {}).get(each), kernel))
                    wrong += judge(name, *drive(programs, certs, clocks))
    for what in wrong:
        print(f"== FAILED: {what}", file=sys.stderr)
    if not wrong:
        print("== all held")
    return 1 if wrong else 0


sys.exit(main())
