"""What `up`, `down` and `user` share: certificates, kubeconfigs and processes of a small Kubernetes API server.

It knows nothing of loadgrid and of what is asked of the server. Python's standard library and openssl are enough.
"""

import base64
import os
import pathlib
import signal
import subprocess
import sys
import time

# The first address of the range is that of the service `kubernetes`.
SERVICES = "10.96.0.0/16"
FIRST_SERVICE = "10.96.0.1"
DOMAIN = "cluster.local"
# Group that may do everything.
MASTERS = "system:masters"
# For how long a process may take to be gone after SIGKILL, seconds.
GONE = 20


class Refused(Exception):
    """One sentence for people."""


def main(run):
    """Runs a script's function; what it refuses is one line on stderr."""
    try:
        run()
    except Refused as refused:
        sys.exit(f"{os.path.relpath(sys.argv[0])}: {refused}")


class Authority:
    """The CA of a cluster, in DIR/pki."""

    def __init__(self, dir):
        self.pki = pathlib.Path(dir) / "pki"
        self.certificate = self.pki / "ca.crt"

    def make(self):
        self.pki.mkdir(parents=True, mode=0o700)
        (self.pki / "openssl.cnf").write_text("[req]\ndistinguished_name = name\n[name]\n")
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
        self._request("ca", "/CN=loadgrid-tests", extensions, signed=False)

    def sign(self, file, name, groups=(), hosts=(), addresses=()):
        """Makes pki/FILE.crt and pki/FILE.key: for a server where there are hosts, for a client otherwise."""
        if not self.certificate.exists():
            raise Refused(f"no cluster in {self.pki.parent}: start one with tests/cluster/up {self.pki.parent}")
        subject = "".join(f"/O={escaped(group)}" for group in groups) + f"/CN={escaped(name)}"
        extensions = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
        if hosts:
            names = [f"DNS:{host}" for host in hosts] + [f"IP:{address}" for address in addresses]
            extensions += ["extendedKeyUsage=serverAuth", "subjectAltName=" + ",".join(names)]
        else:
            extensions += ["extendedKeyUsage=clientAuth"]
        self._request(file, subject, extensions, signed=True)

    def _request(self, file, subject, extensions, signed):
        command = ["openssl", "req", "-x509", "-config", self.pki / "openssl.cnf", "-newkey", "ec", "-pkeyopt"]
        command += ["ec_paramgen_curve:P-256", "-noenc", "-days", "30", "-subj", subject]
        command += ["-keyout", self.pki / f"{file}.key", "-out", self.pki / f"{file}.crt"]
        for extension in extensions:
            command += ["-addext", extension]
        if signed:
            command += ["-CA", self.certificate, "-CAkey", self.pki / "ca.key"]
        ran(command)

    def key_pair(self, file):
        """Makes pki/FILE.key and pki/FILE.pub, with which ServiceAccount tokens are signed and checked."""
        private = self.pki / f"{file}.key"
        ran(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", private])
        ran(["openssl", "pkey", "-in", private, "-pubout", "-out", self.pki / f"{file}.pub"])


def escaped(text):
    """Text as a part of openssl's -subj."""
    return "".join("\\" + letter if letter in "\\/+=" else letter for letter in text)


def ran(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise Refused(f"{command[0]} isn't installed: install it")
    if done.returncode != 0:
        raise Refused(f"{command[0]} {command[1]} failed: {done.stderr.strip()}")


def write_kubeconfig(authority, file, server, path):
    """A kubeconfig with the certificate pki/FILE.crt, and all it needs, in one file."""
    embedded = [authority.certificate, authority.pki / f"{file}.crt", authority.pki / f"{file}.key"]
    ca, certificate, key = (base64.b64encode(path.read_bytes()).decode() for path in embedded)
    text = f"""apiVersion: v1
kind: Config
clusters:
- name: tests
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: tests
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: tests
  context:
    cluster: tests
    user: tests
current-context: tests
"""
    private = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(private, "w") as file:
        file.write(text)


def began(pid):
    """When a process began, in ticks since the machine did: with its number, that names it for good. None: gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # What stands before is the program's name, which may have anything in it.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]


def end(pids):
    """Ends the processes that the file DIR/pids names, and no others that have their numbers by now."""
    named = [line.split() for line in pids.read_text().splitlines()]
    left = [(int(pid), ticks) for _, pid, ticks in named if began(int(pid)) == ticks]
    for pid, _ in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    until = time.monotonic() + GONE
    while any(began(pid) == ticks for pid, ticks in left):
        if time.monotonic() > until:
            raise Refused(f"a process of {pids} is still there after SIGKILL")
        time.sleep(0.01)
    pids.unlink()
