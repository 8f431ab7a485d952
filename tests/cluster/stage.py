"""Where a trial plays: a node, its API server, the release `grid`, and the people who use it.

It knows how things are started, read and ended; what ought to be seen is the trial's.
"""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).parent.absolute()
ROOT = HERE.parent.parent
GRID = "grid-loadgrid"
# Nothing that is waited for takes longer, seconds.
PATIENCE = 90
# How often what can't be waited for is looked at, seconds.
LOOK = 0.5


class Failed(Exception):
    """What was not as it should be."""


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def __str__(self):
        return f"exit code {self.code}\n{self.err}{self.out}"


class Running(NamedTuple):
    process: subprocess.Popen
    out: pathlib.Path
    err: pathlib.Path


def equal(wanted, found, about=""):
    if wanted != found:
        raise Failed(f"{found!r} instead of {wanted!r}\n{about}")


def says(words, text):
    if words not in text:
        raise Failed(f"no '{words}' in:\n{text}")


def found(pattern, text):
    """What a pattern's first group is, in a text that has to have it."""
    match = re.search(pattern, text, re.M)
    if match is None:
        raise Failed(f"nothing like '{pattern}' in:\n{text}")
    return match[1]


def until(what, look):
    """Comes back with the first true thing that is seen."""
    end = time.monotonic() + PATIENCE
    while not (thing := look()):
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {PATIENCE} s")
        time.sleep(LOOK)
    return thing


class Stage:
    def __init__(self, folder, programs, node=None):
        self.folder, self.programs = folder, programs
        self.dir = node or folder / "node"
        self.files = 0
        self.begun = []
        self.was_up = self.holder() is not None

    # The node.

    def holder(self):
        """The process that the node hangs on, if it lives."""
        with contextlib.suppress(OSError, ValueError):
            pid, began = (self.dir / "holder").read_text().split()
            if stat(pid)[19] == began:
                return int(pid)
        return None

    def up(self):
        self.ran(HERE / "node", "up", self.dir)
        for user in ("alice", "bob"):
            self.ran(HERE / "user", self.dir / "api", user)

    def image(self):
        made = self.ran(HERE / "image", self.folder / "image.tar", "--programs", self.programs)
        self.ran(HERE / "node", "import", self.dir, self.folder / "image.tar")
        return made

    def close(self, keep):
        for running in self.begun:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait()
        if keep or self.was_up:
            print(f"   the node is left: tests/cluster/node down {self.dir}")
        elif (self.dir / "log").exists():
            self.ran(HERE / "node", "down", self.dir)

    # Commands.

    def ran(self, *command, text=None):
        """Runs something that has to succeed: its stdout."""
        done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True, timeout=900)
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr}{done.stdout}")
        return done.stdout

    def tool(self, *command, text=None):
        """The same in the node's network."""
        return self.ran(HERE / "node", "run", self.dir, *command, text=text)

    def kubectl(self, *words, user="admin", text=None):
        return self.tool("kubectl", "--kubeconfig", self.dir / f"api/{user}.kubeconfig", *words, text=text)

    def get(self, namespace, *what):
        return json.loads(self.kubectl("-n", namespace, "get", *what, "-o", "json"))

    def apply(self, text):
        self.kubectl("apply", "-f", "-", user="alice", text=text)

    def helm(self, verb, *words):
        values = HERE / "trial.d/values.yaml"
        return self.tool("helm", verb, "grid", ROOT / "charts/loadgrid", "-n", "grid", "-f", values, *words)

    def loadgrid(self, *words, user="alice"):
        """Runs a command of loadgrid, as somebody with a kubeconfig."""
        return self.end(self.begin(*words, user=user))

    def begin(self, *words, user="alice"):
        out, err = self.path("out"), self.path("err")
        command = [HERE / "node", "run", self.dir, "env", f"KUBECONFIG={self.dir}/api/{user}.kubeconfig",
                   self.programs / "loadgrid", *words]
        with open(out, "w") as stdout, open(err, "w") as stderr:
            process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=stdout,
                                       stderr=stderr, start_new_session=True)
        self.begun.append(Running(process, out, err))
        return self.begun[-1]

    def end(self, running):
        try:
            code = running.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed(f"it did not end within {PATIENCE} s:\n{running.err.read_text()}") from None
        return Done(code, running.out.read_text(), running.err.read_text())

    def path(self, end):
        self.files += 1
        return self.folder / f"{self.files}.{end}"

    def file(self, text):
        path = self.path("yaml")
        path.write_text(text)
        return path

    # What a command that runs has said so far.

    def heard(self, running, pattern, enough=lambda _: True):
        def look():
            text = running.err.read_text()
            things = [thing for thing in re.findall(pattern, text) if enough(thing)]
            if not things and running.process.poll() is not None:
                raise Failed(f"it ended before '{pattern}' was heard:\n{text}{running.out.read_text()}")
            return things

        return until(f"'{pattern}'", look)[0]

    def sent(self, running, count):
        """Comes back when a run has sent so many."""
        self.heard(running, r"(\d+) sent of", lambda sent: int(sent) >= count)

    # The release.

    def state(self):
        return json.loads(self.kubectl("get", "--raw", f"/api/v1/namespaces/grid/services/{GRID}-coordinator:http/proxy/api/state"))

    def settled(self):
        """Both workers wait for a run, with the coordinator that will stay."""
        def look():
            with contextlib.suppress(Failed):
                workers = self.state()["workers"]
                return sorted(worker["name"] for worker in workers if worker["state"] == "idle") == sorted(self.pods("worker"))

        self.kubectl("-n", "grid", "rollout", "status", f"statefulset/{GRID}-coordinator", "--timeout=90s")
        until("two idle workers", look)
        self.kubectl("-n", "grid", "rollout", "status", f"deployment/{GRID}-worker", "--timeout=90s")

    def objects(self, component):
        selector = f"app.kubernetes.io/instance=grid,app.kubernetes.io/component={component}"
        pods = self.get("grid", "pods", "-l", selector)["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def pods(self, component):
        return [pod["metadata"]["name"] for pod in self.objects(component)]

    def lives(self):
        """Each pod of the grid, and how often it began."""
        pods = self.objects("coordinator") + self.objects("worker")
        return {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods}

    def events(self, name):
        """Of a LoadTest: reasons and notes."""
        events = self.get("apps", "events.events.k8s.io")["items"]
        return {event["reason"]: event["note"] for event in events if event["regarding"]["name"] == name}

    # Its processes, as this machine sees them.

    def processes(self, *words):
        holder = self.holder()
        if holder is None:
            raise Failed("no node runs")
        pids = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if tuple(command[:len(words)]) == words and below(pid, holder):
                    pids.append(int(pid))
        return pids

    def kill(self, *words):
        """Ends one process of the node without a warning."""
        pids = self.processes(*words)
        if not pids:
            raise Failed(f"no process {' '.join(words)} in the node")
        os.kill(pids[0], signal.SIGKILL)

    def resident(self, *words):
        """Of each such process, in kB."""
        texts = [pathlib.Path(f"/proc/{pid}/status").read_text() for pid in self.processes(*words)]
        return [int(found(r"^VmRSS:\s+(\d+) kB", text)) for text in texts]

    # Its certificates.

    def served(self):
        """The certificate that the coordinator shows."""
        address = self.objects("coordinator")[0]["status"]["podIP"]
        shown = subprocess.run([HERE / "node", "run", self.dir, "openssl", "s_client", "-connect", f"{address}:7400"],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60).stdout
        return hashlib.sha256(found(r"(-----BEGIN CERTIFICATE-----[^-]+)", shown).encode()).hexdigest()

    def mounted(self):
        """Waits until each pod has what its Secret has. The kubelet looks once a minute, or when a pod changes."""
        holder = self.holder()
        for role in ("coordinator", "worker"):
            data = self.get("grid", f"secret/{GRID}-{role}-tls")["data"]
            for pod in self.objects(role):
                name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
                self.kubectl("-n", "grid", "annotate", "--overwrite", f"pod/{name}", f"trial={time.time()}")
                volume = pathlib.Path(f"/proc/{holder}/root/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~secret/tls")
                until(f"the new files of {name}", lambda: all(
                    encoded((volume / file).read_bytes()) == text for file, text in data.items()))

    # The coordinator's pages.

    @contextlib.contextmanager
    def forward(self):
        """A tunnel to the coordinator's HTTP port: the URL that it is reached by, in the node's network."""
        command = [HERE / "node", "run", self.dir, "kubectl", "-n", "grid", "port-forward", f"service/{GRID}-coordinator", ":7480"]
        tunnel = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            yield "http://127.0.0.1:" + found(r"127\.0\.0\.1:(\d+)", tunnel.stdout.readline())
        finally:
            os.killpg(tunnel.pid, signal.SIGTERM)
            tunnel.communicate()

    def fetch(self, url):
        return self.tool("curl", "-sS", "--max-time", "10", url)

    def follow(self, url, enough):
        """Reads a stream of events until one is enough: how many there were."""
        command = [HERE / "node", "run", self.dir, "curl", "-sSN", "--max-time", "60", url]
        stream = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        count = 0
        try:
            for line in stream.stdout:
                if line.startswith("data:"):
                    count += 1
                    if enough(json.loads(line[5:])):
                        return count
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(stream.pid, signal.SIGTERM)
            stream.communicate()
        raise Failed(f"{count} events, and none that is enough")


def stat(pid):
    """The fields of /proc/PID/stat after the name."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()


def below(pid, ancestor):
    pid = int(pid)
    while pid > 1 and pid != ancestor:
        pid = int(stat(pid)[1])
    return pid == ancestor


def encoded(content):
    return base64.b64encode(content).decode()


def tried(stage, name, step):
    """Whether a step succeeded; a line tells."""
    began = time.monotonic()
    try:
        told, good = step(stage), True
    except (Failed, OSError, KeyError, IndexError, ValueError, subprocess.SubprocessError) as error:
        told, good = f"FAILED: {type(error).__name__}: {error}", False
    print(f"== {name}: {time.monotonic() - began:.1f} s: {told}", flush=True)
    if not good and stage.holder() is not None:
        with contextlib.suppress(Failed):
            print(stage.kubectl("-n", "grid", "get", "pods"))
            print(stage.kubectl("-n", "grid", "logs", "--tail=15", f"{GRID}-coordinator-0"), flush=True)
    return good
