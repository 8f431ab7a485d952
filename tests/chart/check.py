#!/usr/bin/env -S python3 -B
"""What holds for every rendering of the chart: check.py NAME < objects, as JSON one after the other.

Pods are `restricted`, ask for what they are limited to, and mount what there is; selectors and ports meet their pods;
roles change nothing but what is the grid's; workers reach a coordinator that is not ready, by a name of its certificate,
and nightly jobs their webhook; only the gRPC port is open to the outside; every object has its labels. Prints each fault, and exits with 1. The API
server checks the fields themselves.
"""

import json
import sys
from urllib.parse import urlsplit

LABELS = ["name", "instance", "component", "version", "managed-by"]
NAMED = {"StatefulSet", "Deployment", "Pod", "CronJob"}
# What any role may change.
WRITTEN = {"loadtests", "loadtests/status", "loadtests/finalizers", "events", "leases", "pods/portforward"}
# Kinds whose objects outlive or come before the release, as values name them.
OTHERS = {
    "Secret": {
        "registry", "s3", "slack", "github", "hook", "shop.credentials", "shop-credentials",
        "our-coordinator", "our-worker", "our-operator",
    },
    "PersistentVolumeClaim": {"results"},
    "ConfigMap": set(),
    "ServiceAccount": set(),
}


def read(text):
    decoder, at, objects = json.JSONDecoder(), 0, []
    while at < len(text):
        found, at = decoder.raw_decode(text, at)
        objects.append(found)
        while at < len(text) and text[at].isspace():
            at += 1
    return objects


def pod_of(thing):
    """The pod's (metadata, spec) that an object makes, or None."""
    kind, spec = thing["kind"], thing.get("spec", {})
    if kind == "Pod":
        return thing["metadata"], spec
    if kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    elif kind not in ("Deployment", "StatefulSet"):
        return None
    return spec["template"]["metadata"], spec["template"]["spec"]


def faults_of_container(container, volumes):
    security = container["securityContext"]
    if not (security["readOnlyRootFilesystem"] and security["runAsNonRoot"]) or security["allowPrivilegeEscalation"]:
        yield "its container is not restricted"
    if security["capabilities"] != {"drop": ["ALL"]} or security["seccompProfile"] != {"type": "RuntimeDefault"}:
        yield "its container keeps capabilities or has no seccomp profile"
    resources = container["resources"]
    if resources["requests"] != resources["limits"] or not {"cpu", "memory"} <= set(resources["limits"]):
        yield "its requests are not its limits"
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container and container[probe]["httpGet"]["port"] not in ports:
            yield f"its {probe} has a port that the container lacks"
    names = [variable["name"] for variable in container.get("env", [])]
    if len(names) != len(set(names)):
        yield "a variable of its environment is there twice"
    places = [mount["mountPath"] for mount in container["volumeMounts"]]
    if len(places) != len(set(places)):
        yield "two volumes have one place"
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            yield f"the volume {mount['name']} is mounted, and there is none"


def needs_of(spec):
    """The objects (kind, name) that a pod can't start without."""
    yield "ServiceAccount", spec["serviceAccountName"]
    for secret in spec.get("imagePullSecrets", []):
        yield "Secret", secret["name"]
    for volume in spec["volumes"]:
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for container in spec["containers"]:
        for variable in container.get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef", {})
            if reference and not reference.get("optional"):
                yield "Secret", reference["name"]


def faults_of_pod(thing, there):
    metadata, spec = pod_of(thing)
    security = spec["securityContext"]
    if not security["runAsNonRoot"] or security["runAsUser"] != 65532 or security["fsGroup"] != 65532:
        yield "its pod does not run as 65532"
    volumes = [volume["name"] for volume in spec["volumes"]]
    if len(volumes) != len(set(volumes)):
        yield "two of its volumes have one name"
    for container in spec["containers"]:
        yield from faults_of_container(container, volumes)
    for kind, name in needs_of(spec):
        if (kind, name) not in there and name not in OTHERS[kind]:
            yield f"it needs the {kind} {name}, and there is none"
    token = spec["automountServiceAccountToken"]
    component = metadata["labels"]["app.kubernetes.io/component"]
    reads = any("--load-test" in argument for argument in spec["containers"][0].get("args", []))
    if token != (component == "coordinator" or reads):
        yield f"its automountServiceAccountToken is {token}"
    selector = thing["spec"].get("selector", {}).get("matchLabels", {})
    if not selector.items() <= metadata["labels"].items():
        yield "its selector does not fit its pods"


def faults_of_rules(thing):
    for rule in thing["rules"]:
        if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]:
            yield "a rule with *"
        one = rule["verbs"] == ["get"] and len(rule.get("resourceNames", [])) == 1
        if "secrets" in rule["resources"] and not one:
            yield "it may do more with Secrets than get one"
        if set(rule["verbs"]) - {"get", "list", "watch"} and set(rule["resources"]) - WRITTEN:
            yield f"it may {rule['verbs']} {rule['resources']}"


def argument(spec, flag):
    """What a pod's flag says, or None."""
    return next((own.split("=", 1)[1] for own in spec["containers"][0].get("args", []) if own.startswith(f"{flag}=")), None)


def faults_of_ways(objects, pods):
    """Where workers dial, and what nightly jobs tell."""
    services = {thing["metadata"]["name"]: thing["spec"] for thing in objects if thing["kind"] == "Service"}
    names = [set(thing["spec"]["dnsNames"]) for thing in objects
             if thing["kind"] == "Certificate" and "dnsNames" in thing["spec"]]
    policies = [thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy"]
    for name, labels, pod in pods:
        if dialled := argument(pod, "--coordinator"):
            host = urlsplit(dialled).hostname
            if not services.get(host, {}).get("publishNotReadyAddresses"):
                yield f"{name} dials {host}, which leads to no coordinator that is not ready"
            if any(host not in own for own in names):
                yield f"{name} dials {host}, which is no name of the coordinator's certificate"
        if told := argument(pod, "--webhook"):
            told = urlsplit(told)
            port = told.port or (443 if told.scheme == "https" else 80)
            for policy in policies:
                rules = [rule.get("ports") for rule in policy["egress"]]
                if policy["podSelector"]["matchLabels"].items() <= labels.items() and not any(
                        ports is None or port in [own["port"] for own in ports] for ports in rules):
                    yield f"{name} may not reach port {port} of its webhook"


def secret_of_certificate(thing):
    return ("Secret", thing["spec"]["secretName"]) if thing["kind"] == "Certificate" else None


def faults_of(thing, there, pods):
    metadata = thing["metadata"]
    labels = metadata.get("labels", {})
    missing = [f"app.kubernetes.io/{name}" for name in LABELS if not labels.get(f"app.kubernetes.io/{name}")]
    missing += [] if labels.get("helm.sh/chart") else ["helm.sh/chart"]
    if missing:
        yield f"it lacks the labels {', '.join(missing)}"
    if not metadata.get("namespace") and thing["kind"] not in ("ClusterRole", "ClusterRoleBinding"):
        yield "it has no namespace"
    if thing["kind"] in NAMED:
        yield from faults_of_pod(thing, there)
    if thing["kind"] in ("Role", "ClusterRole"):
        yield from faults_of_rules(thing)
    if thing["kind"] in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        spec = thing["spec"]
        selector = spec.get("podSelector", spec.get("selector"))
        selector = selector.get("matchLabels", selector)
        met = [(name, pod) for name, labels, pod in pods if selector.items() <= labels.items()]
        if not met:
            yield "it selects no pod"
        if spec.get("type", "ClusterIP") != "ClusterIP" and [port["port"] for port in spec["ports"]] != [7400]:
            yield "it opens more than the gRPC port to the outside"
        for port in spec.get("ports", []) if thing["kind"] == "Service" else []:
            for name, pod in met:
                if port["targetPort"] not in {own["name"] for own in pod["containers"][0].get("ports", [])}:
                    yield f"{name} has no port {port['targetPort']}"


def main():
    objects = read(sys.stdin.read())
    there = {(thing["kind"], thing["metadata"]["name"]) for thing in objects}
    there |= {secret_of_certificate(thing) for thing in objects}
    pods = [(thing["metadata"]["name"], pod_of(thing)[0]["labels"], pod_of(thing)[1])
            for thing in objects if pod_of(thing)]
    keys = [(thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"]) for thing in objects]
    faults = [f"{kind} {name} is there twice" for kind, where, name in keys if keys.count((kind, where, name)) > 1]
    faults += faults_of_ways(objects, pods)
    for thing in objects:
        for fault in faults_of(thing, there, pods):
            faults.append(f"{thing['kind']} {thing['metadata']['name']}: {fault}")
    for fault in faults:
        print(f"{sys.argv[1]}: {fault}", file=sys.stderr)
    if not objects:
        sys.exit(f"{sys.argv[1]}: no objects")
    sys.exit(bool(faults))


main()
