"""The manifests, rendered by the real kustomize: valid by their schemas, and each name in them is somewhere at home.

`faults` reads what kustomize renders and says what does not fit together, or not with the service, its image and the
contract; the faults planted below show that it sees. What needs a tool that is not there is skipped.
"""

import ast
import contextlib
import copy
import functools
import hashlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import kubernetes_validate
import numpy as np
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from cvprod import contract
from cvprod.repo import root
from cvprod.serving import metrics, settings
from cvprod.stack import peers
from cvprod.traffic import queueing

DEPLOY, BUILD = root() / "deploy", root() / "_build/kubernetes"
KUBERNETES, KSERVE, KUBERAY = DEPLOY / "kubernetes", DEPLOY / "kserve", DEPLOY / "ray/kuberay"
OVERLAYS = ("base", *sorted(f"overlays/{path.name}" for path in (KUBERNETES / "overlays").iterdir()))
LIMITS = contract.load_contract()
#: The oldest and the newest API that the manifests are held to.
VERSIONS = ("1.33", "1.37")

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl (kustomize is inside)")


def run(*command, **options):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)


@functools.cache
def text(folder: Path) -> str:
    done = run("kubectl", "kustomize", folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def render(folder: Path) -> list[dict]:
    return list(yaml.load_all(text(folder), yaml.CSafeLoader))


def of(objects, *kinds):
    return [o for o in objects if o["kind"] in kinds]


#: Kinds that lie in no namespace.
CLUSTER = ("Namespace", "PriorityClass")

# --- Quantities, labels, expressions ---

_UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def quantity(given) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(given)).groups()
    return float(number) * _UNITS.get(unit, 1)


def selects(selector: dict, labels: dict) -> bool:
    return selector.items() <= labels.items()


def series() -> dict[str, set[str]]:
    """Every series that the service exposes, with its labels."""
    known = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            (described,) = metric.describe()
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(described.type, ("",))
            for suffix in suffixes:
                known[described.name + suffix] = set(metric._labelnames) | ({"le"} if suffix == "_bucket" else set())
    return known


SERIES = series()
#: What Prometheus adds to every series that it scrapes from a pod.
TARGET = {"namespace", "job", "pod", "container", "instance", "service", "endpoint"}


def expression_faults(where: str, expression: str, namespace: str, jobs: set[str], recorded: set[str] = frozenset()):
    for name, selector in re.findall(
        r"\b(cvprod_\w+|inspection_track:[\w:]+)(?:\{((?:[^{}\"]|\"[^\"]*\")*)\})?", expression
    ):
        if name not in SERIES and name not in recorded:
            yield f"{where}: no series is called {name}"
            continue
        for label, value in re.findall(r"(\w+)\s*=~?\s*\"([^\"]*)\"", selector):
            if label not in TARGET | SERIES.get(name, {"namespace", "job"}):
                yield f"{where}: {name} has no label {label}"
            if label == "job" and value not in jobs:
                yield f"{where}: no Service gives the job {value}"
            if label == "le" and float(value) not in metrics.SECONDS:
                yield f"{where}: {name} has no bucket {value}"
    yield from (
        f"{where}: asks in namespace {found}, not in {namespace}"
        for found in set(re.findall(r"namespace=\"([^\"]*)\"", expression)) - {namespace}
    )


# --- What the image sets, and what that gives together with the manifest ---


def image_environment() -> dict[str, str]:
    joined = (DEPLOY / "docker/Dockerfile").read_text().replace("\\\n", " ")
    return dict(re.findall(r"\b(CVPROD_[A-Z_]+)=(\S+)", "\n".join(re.findall(r"^ENV .*", joined, re.M))))


EXPOSED = {
    int(port) for port in re.search(r"^EXPOSE (.*)", (DEPLOY / "docker/Dockerfile").read_text(), re.M)[1].split()
}


def environment(container: dict, objects: list[dict]) -> dict[str, str]:
    found = image_environment()
    maps = {o["metadata"]["name"]: o.get("data", {}) for o in of(objects, "ConfigMap")}
    for source in container.get("envFrom", []):
        found |= maps.get(source["configMapRef"]["name"], {})
    return found | {pair["name"]: pair.get("value", "") for pair in container.get("env", [])}


def pod_faults(where: str, pod: dict, objects: list[dict], *, ours: bool = True):
    """Faults of a pod. `ours`: it runs the service's image."""
    context = pod.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield f"{where}: {field}"
    if not context.get("runAsNonRoot") or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield f"{where}: not restricted: root, or no seccomp profile"
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{where}: may gain privileges"
        asked, limit = container["resources"]["requests"], container["resources"]["limits"]
        if asked != limit or quantity(limit["cpu"]) % 1:
            yield f"{where}: not whole cores, or not QoS Guaranteed"
        if re.search(r":latest$|^[^:@]+$", container["image"]):
            yield f"{where}: image {container['image']} without a tag"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{where}: mounts {mount['name']}, which is no volume"
        if not ours:
            continue
        if (context.get("runAsUser"), context.get("runAsGroup")) != (10001, 10001):
            yield f"{where}: not the user of the image"
        if not own.get("readOnlyRootFilesystem") or "/tmp" not in {m["mountPath"] for m in container["volumeMounts"]}:
            yield f"{where}: a root that can be written to, or no /tmp"
        if pod.get("automountServiceAccountToken") is not False or pod.get("enableServiceLinks") is not False:
            yield f"{where}: a token, or variables of other services"
        bytes_ = quantity(limit["memory"])
        if "nvidia.com/gpu" not in limit and bytes_ > LIMITS.memory_mb.limit * 1e6:
            yield f"{where}: memory {bytes_ / 1e6:.0f} MB, the contract says {LIMITS.memory_mb.limit}"
        if (
            sum(quantity(v["emptyDir"].get("sizeLimit", "1000Gi")) for v in volumes.values() if "emptyDir" in v)
            > bytes_ / 4
        ):
            yield f"{where}: /tmp may fill the memory"
        yield from settings_faults(where, pod, container, objects)


def settings_faults(where: str, pod: dict, container: dict, objects: list[dict]):
    maps = {o["metadata"]["name"] for o in of(objects, "ConfigMap")}
    for source in container.get("envFrom", []):
        if source["configMapRef"]["name"] not in maps:
            yield f"{where}: no ConfigMap {source['configMapRef']['name']}"
    given = environment(container, objects)
    claims = {o["metadata"]["name"]: o["spec"]["accessModes"] for o in of(objects, "PersistentVolumeClaim")}
    kept = {
        v["name"]: v["persistentVolumeClaim"]["claimName"]
        for v in pod.get("volumes", [])
        if "persistentVolumeClaim" in v
    }
    shared = {m["mountPath"] for m in container["volumeMounts"] if claims.get(kept.get(m["name"])) == ["ReadWriteMany"]}
    if kept.keys() and not pod["securityContext"].get("fsGroup"):
        yield f"{where}: a volume that belongs to somebody else"
    known = {f"CVPROD_{name.upper()}" for name in settings.Settings.model_fields}
    for name in sorted(set(given) - known):
        yield f"{where}: {name} is no setting"
    try:
        chosen = settings.load([], given)
    except settings.SettingsError as error:
        yield f"{where}: {error}"
        return
    if {str(chosen.jobs)} != shared and (chosen.jobs or kept):
        yield f"{where}: jobs in {chosen.jobs}, shared by all pods: {shared or 'nothing'}"
    # Supervisor: the delay, the drain, and five seconds for what is left.
    if pod.get("terminationGracePeriodSeconds", 30) <= chosen.drain_delay + chosen.drain_seconds + 5:
        yield f"{where}: killed before it has drained"
    opened = {port.get("name", ""): port["containerPort"] for port in container["ports"]}
    if not set(opened.values()) <= EXPOSED == {chosen.port, chosen.grpc_port}:
        yield f"{where}: ports {opened}, image {EXPOSED}, settings {chosen.port} and {chosen.grpc_port}"
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container.get(kind)
        if probe is None:
            yield f"{where}: no {kind}"
            continue
        port = probe["httpGet"]["port"]
        if opened.get(port, port) != chosen.port:
            yield f"{where}: {kind} asks port {port}"
        if (probe["httpGet"]["path"] in ("/healthz", "/v2/health/live")) != (kind == "livenessProbe"):
            yield f"{where}: {kind} asks {probe['httpGet']['path']}"
    unready = container.get("readinessProbe", {})
    if chosen.drain_delay < unready.get("periodSeconds", 10) * unready.get("failureThreshold", 3):
        yield f"{where}: the door closes before the readiness probe has failed"


# --- Everything together ---


def faults(objects: list[dict]) -> list[str]:
    """What does not fit together in the output of one overlay."""
    return [*_workload_faults(objects), *_scaling_faults(objects), *_route_faults(objects), *_watch_faults(objects)]


def _labels(deployment: dict) -> dict:
    return deployment["spec"]["template"]["metadata"]["labels"]


def _ports(pod: dict) -> dict[str, int]:
    return {p["name"]: p["containerPort"] for c in pod["containers"] for p in c["ports"]}


def _workload_faults(objects):
    deployments = of(objects, "Deployment")
    accounts = {o["metadata"]["name"] for o in of(objects, "ServiceAccount")}
    if spread := {o["metadata"].get("namespace") for o in objects if o["kind"] not in CLUSTER} - {"inspection"}:
        yield f"objects outside the namespace: {spread}"
    for deployment in deployments:
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        pod = spec["template"]["spec"]
        if not selects(spec["selector"]["matchLabels"], _labels(deployment)):
            yield f"{name}: its selector does not match its pods"
        for other in deployments:
            if other is not deployment and selects(spec["selector"]["matchLabels"], _labels(other)):
                yield f"{name}: its selector takes the pods of {other['metadata']['name']}"
        if pod["serviceAccountName"] not in accounts:
            yield f"{name}: no ServiceAccount {pod['serviceAccountName']}"
        for constraint in pod.get("topologySpreadConstraints", []):
            if not selects(constraint["labelSelector"]["matchLabels"], _labels(deployment)):
                yield f"{name}: spreads pods that are not its own"
        rolling = spec["strategy"]["rollingUpdate"]
        gpu = "nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]
        if rolling["maxUnavailable"] != (1 if gpu else 0) or not rolling["maxSurge"] + rolling["maxUnavailable"]:
            yield f"{name}: a rollout takes pods away, or cannot begin"
        yield from pod_faults(name, pod, objects)
    for service in of(objects, "Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        pods = [d["spec"]["template"]["spec"] for d in deployments if selects(spec["selector"], _labels(d))]
        if len(pods) != 1:
            yield f"Service {name}: {len(pods)} Deployments behind it"
        for port in spec["ports"]:
            if any(_ports(pod).get(port["targetPort"]) != port["port"] for pod in pods):
                yield f"Service {name}: port {port['targetPort']} is none of its pods'"
    for policy in of(objects, "NetworkPolicy"):
        name, chosen = policy["metadata"]["name"], policy["spec"]["podSelector"].get("matchLabels", {})
        if chosen and not all(selects(chosen, _labels(d)) for d in deployments):
            yield f"NetworkPolicy {name}: leaves pods out"
        if set(policy["spec"]["policyTypes"]) != {"Ingress", "Egress"} or policy["spec"].get("egress"):
            yield f"NetworkPolicy {name}: lets the service out"
        for rule in policy["spec"].get("ingress", []):
            known = {port for d in deployments for port in _ports(d["spec"]["template"]["spec"])}
            if not rule.get("from") or not {p["port"] for p in rule["ports"]} <= known:
                yield f"NetworkPolicy {name}: open to all, or an unknown port"


def _scaling_faults(objects):
    deployments = {o["metadata"]["name"]: o for o in of(objects, "Deployment")}
    least = {name: d["spec"].get("replicas") for name, d in deployments.items()}
    scaled = []
    for scaler in of(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        name, spec = scaler["metadata"]["name"], scaler["spec"]
        target = spec["scaleTargetRef"]
        scaled.append(target["name"])
        if target["name"] not in deployments or target.get("kind") != "Deployment":
            yield f"{scaler['kind']} {name}: nothing is called {target['name']}"
            continue
        if least[target["name"]] is not None:
            yield f"{target['name']}: sets replicas, which its autoscaler sets too"
        if scaler["kind"] == "ScaledObject":
            low, high = spec["minReplicaCount"], spec["maxReplicaCount"]
            jobs = {o["metadata"]["name"] for o in of(objects, "Service")}
            for trigger in spec["triggers"]:
                if trigger["type"] == "prometheus":
                    query = trigger["metadata"]["query"]
                    yield from expression_faults(
                        f"trigger {trigger['name']}", query, scaler["metadata"]["namespace"], jobs
                    )
                    if not query.startswith("sum("):
                        yield f"trigger {trigger['name']}: more than one number"
                    carried = (low - 1) * float(trigger["metadata"]["threshold"])
                    if trigger["name"] == "demand" and carried < LIMITS.tiles_per_s.limit:
                        yield f"{name}: with one pod missing, too few for the contract's rate"
            if not low < spec["fallback"]["replicas"] <= high:
                yield f"{name}: the fallback is none"
        else:
            low, high = spec["minReplicas"], spec["maxReplicas"]
            yield from _reach_faults(name, spec, deployments[target["name"]], objects)
        if not 2 <= low < high:
            yield f"{name}: from {low} to {high} replicas"
        least[target["name"]] = low
    yield from (f"{name}: two autoscalers" for name in deployments if scaled.count(name) > 1)
    yield from (f"{name}: neither replicas nor an autoscaler" for name, count in least.items() if count is None)
    for budget in of(objects, "PodDisruptionBudget"):
        name, spec = budget["metadata"]["name"], budget["spec"]
        behind = [n for n, d in deployments.items() if selects(spec["selector"]["matchLabels"], _labels(d))]
        if len(behind) != 1:
            yield f"PodDisruptionBudget {name}: counts the pods of {behind}"
        elif not 1 <= spec.get("maxUnavailable", 0) < (least[behind[0]] or 1):
            yield f"PodDisruptionBudget {name}: no pod may go, or all may"


def _reach_faults(name: str, spec: dict, deployment: dict, objects: list[dict]):
    """A worker is one loop: it uses one core, so that fewer workers than cores never come near to 100 %."""
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    cores = quantity(container["resources"]["limits"]["cpu"])
    with contextlib.suppress(settings.SettingsError):  # which is found elsewhere
        given = environment(container, objects)
        workers = settings.load([], given).workers if "CVPROD_WORKERS" in given else cores
        for metric in spec["metrics"]:
            share = metric["resource"]["target"]["averageUtilization"] / 100
            if metric["resource"]["name"] == "cpu" and share * cores > 0.8 * min(workers, cores):
                yield f"{name}: {share:.0%} of {cores:g} cores is more than {workers:g} loops can use"


def _route_faults(objects):
    gateways = {o["metadata"]["name"]: {g["name"]: g for g in o["spec"]["listeners"]} for o in of(objects, "Gateway")}
    services = {o["metadata"]["name"]: {p["port"]: p for p in o["spec"]["ports"]} for o in of(objects, "Service")}
    proto = (root() / "cvprod/serving/oip.proto").read_text()
    called = re.search(r"^package (\S+);", proto, re.M)[1] + "." + re.search(r"^service (\w+)", proto, re.M)[1]
    for route in of(objects, "HTTPRoute", "GRPCRoute"):
        name, spec = f"{route['kind']} {route['metadata']['name']}", route["spec"]
        for parent in spec["parentRefs"]:
            listener = gateways.get(parent["name"], {}).get(parent["sectionName"])
            if listener is None:
                yield f"{name}: no listener {parent['name']}/{parent['sectionName']}"
            elif (
                spec["hostnames"] != [listener["hostname"]]
                or {"kind": route["kind"]} not in listener["allowedRoutes"]["kinds"]
            ):
                yield f"{name}: its listener does not take it"
        for rule in spec["rules"]:
            backends = rule.get("backendRefs", [])
            for backend in backends:
                if backend["port"] not in services.get(backend["name"], {}):
                    yield f"{name}: no Service {backend['name']}:{backend['port']}"
                elif ("h2c" in services[backend["name"]][backend["port"]]["appProtocol"]) != (
                    route["kind"] == "GRPCRoute"
                ):
                    yield f"{name}: {backend['name']}:{backend['port']} speaks another protocol"
            weights = {backend["name"]: backend["weight"] for backend in backends}
            if weights not in ({}, {"inspection": 100, "inspection-canary": 0}):
                yield f"{name}: as shipped the canary gets nothing, not {weights}"
            for match in rule.get("matches", []):
                if "method" in match and match["method"]["service"] != called:
                    yield f"{name}: {match['method']['service']} is not {called}"
                if "path" in match and match["path"]["value"].startswith(("/metrics", "/docs", "/v2/repository")):
                    yield f"{name}: {match['path']['value']} is not for callers"
                if "path" in match and match["path"]["value"] in ("/", "/v2") and match["path"]["type"] != "Exact":
                    yield f"{name}: {match['path']['value']} lets /v2/repository through"


def _watch_faults(objects):
    services = of(objects, "Service")
    for monitor in of(objects, "ServiceMonitor"):
        seen = [s for s in services if selects(monitor["spec"]["selector"]["matchLabels"], s["metadata"]["labels"])]
        if not seen:
            yield "ServiceMonitor: finds no Service"
        for endpoint in monitor["spec"]["endpoints"]:
            if any(endpoint["port"] not in {p["name"] for p in s["spec"]["ports"]} for s in seen):
                yield f"ServiceMonitor: a Service has no port {endpoint['port']}"
    for rules in of(objects, "PrometheusRule"):
        every = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
        recorded = {rule["record"] for rule in every if "record" in rule}
        jobs = {service["metadata"]["name"] for service in services}
        for rule in every:
            name = rule.get("alert") or rule["record"]
            yield from expression_faults(name, rule["expr"], rules["metadata"]["namespace"], jobs, recorded)
            yield from _contract_faults(name, rule)


def _contract_faults(name: str, rule: dict):
    """An alert that names a line of the contract has its number; `over_limit` is the share beyond 10 ms."""
    numbers = {float(n) for n in re.findall(r"(?<![\w.:\"])\d+(?:\.\d+)?(?:e\d+)?", rule["expr"])}
    if "over_limit" in name and LIMITS.p99_latency_ms.limit / 1e3 not in {
        float(edge) for edge in re.findall(r'le="([\d.]+)"', rule["expr"])
    }:
        yield f"{name}: not the contract's {LIMITS.p99_latency_ms.limit} ms"
    wanted = {
        "tiles_per_s": LIMITS.tiles_per_s.limit,
        "memory_mb": LIMITS.memory_mb.limit * 1e6,
        "p99_latency_ms": 0.01,  # one in a hundred: that is what a 99th percentile leaves
    }
    line = rule.get("labels", {}).get("contract")
    if line is not None and not hasattr(LIMITS, line):
        yield f"{name}: the contract has no line {line}"
    if line in wanted and wanted[line] not in numbers:
        yield f"{name}: the contract's {line} is {wanted[line]:g}, not among {sorted(numbers)}"


# --- Tests of what is shipped ---


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_fits_together(overlay):
    assert faults(render(KUBERNETES / overlay)) == []


@pytest.mark.parametrize("components", itertools.permutations(["keys", "monitoring", "shared-jobs"]), ids="-".join)
def test_components_add_up_in_any_order(tmp_path, components):
    """In one order the settings of keys were lost, without a word, and everybody could ask."""
    places = {name: os.path.relpath(KUBERNETES / name, tmp_path) for name in ("base", "canary", "components")}
    chosen = [f"{places['components']}/{name}" for name in components]
    overlay = {"resources": [places["base"], places["canary"]], "components": chosen, "namespace": "inspection"}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(overlay))
    for deployment in of(render(tmp_path), "Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        expected = {"CVPROD_API_KEYS", "CVPROD_RATE_LIMIT", "CVPROD_JOBS"}
        if deployment["metadata"]["name"] == "inspection-canary":
            expected.add("CVPROD_WORK_ON_JOBS")
        assert {variable["name"] for variable in container["env"]} == expected
        assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/tmp", "/jobs", "/keys"}


def test_overlays_hold_what_their_names_say():
    kinds = {overlay: [o["kind"] for o in render(KUBERNETES / overlay)] for overlay in OVERLAYS}
    assert {"Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy"} <= set(kinds["base"])
    for overlay in ("overlays/autoscaling-keda", "overlays/production"):
        assert "ScaledObject" in kinds[overlay] and "HorizontalPodAutoscaler" not in kinds[overlay]
    for overlay in ("overlays/gateway", "overlays/production"):
        assert {"Gateway", "HTTPRoute", "GRPCRoute"} <= set(kinds[overlay]) and kinds[overlay].count("Deployment") == 2
    for overlay in ("overlays/monitoring", "overlays/production"):
        assert {"ServiceMonitor", "PrometheusRule"} <= set(kinds[overlay])
    (namespace,) = of(render(KUBERNETES / "overlays/production"), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert "PersistentVolumeClaim" in kinds["overlays/shared-jobs"]
    (gpu,) = of(render(KUBERNETES / "overlays/gpu"), "Deployment")
    (container,) = gpu["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1" and "inspection-gpu:" in container["image"]
    chosen = settings.load([], environment(container, render(KUBERNETES / "overlays/gpu")))
    assert (chosen.device, chosen.workers, chosen.max_batch) == ("cuda", 1, 32), (
        "merged into base's settings, not in their place"
    )
    assert chosen.model != settings.DEFAULT_MODEL, "which is INT8, for CPUs"


def test_canary_differs_by_name_track_and_image_alone():
    stable, canary = sorted(
        of(render(KUBERNETES / "overlays/gateway"), "Deployment"), key=lambda d: len(d["metadata"]["name"])
    )
    assert canary["metadata"]["name"] == "inspection-canary" and canary["spec"].pop("replicas") == 0, (
        "no core is kept for what has no traffic"
    )
    for deployment in (stable, canary):
        deployment["spec"]["template"]["spec"]["containers"][0].pop("image")
    as_stable = json.dumps(canary["spec"]).replace('"canary"', '"stable"').replace("inspection-canary-", "inspection-")
    assert json.loads(as_stable) == stable["spec"]


def test_a_canary_gets_pods_with_its_weight():
    """In all that is shipped: no weight without pods, no pods without weight."""
    for folder in ("overlays/gateway", "overlays/production", "rollout/weights"):
        objects = render(KUBERNETES / folder)
        (canary,) = (d for d in of(objects, "Deployment") if d["metadata"]["name"] == "inspection-canary")
        weights = {b["weight"] for route in of(objects, "HTTPRoute", "GRPCRoute") for rule in route["spec"]["rules"]
                   for b in rule.get("backendRefs", []) if b["name"] == "inspection-canary"}  # fmt: skip
        assert len(weights) == 1, "one share on every route"
        stable = 3  # the autoscalers' least
        assert canary["spec"]["replicas"] == -(-stable * max(weights) // 100), folder


def test_production_comes_before_batch_work():
    objects = render(KUBERNETES / "overlays/production")
    (priority,) = of(objects, "PriorityClass")
    assert priority["value"] > 0 and not priority["globalDefault"]
    assert {_pod(d)["priorityClassName"] for d in of(objects, "Deployment")} == {priority["metadata"]["name"]}


def test_what_a_pod_is_planned_to_carry_follows_from_what_a_tile_costs():
    """KEDA, KServe and the alert have the number that capacity.py derives, and a simulation keeps the contract with it,
    but not with a third more."""
    capacity = importlib.util.spec_from_file_location("capacity", KUBERNETES / "capacity.py")
    made = importlib.util.module_from_spec(capacity)
    capacity.loader.exec_module(made)
    limit = LIMITS.p99_latency_ms.limit / 1e3
    carried = made.planned(made.CORES, made.SECONDS_A_TILE, limit)
    objects = render(KUBERNETES / "overlays/production")
    (scaled,), (rules,) = of(objects, "ScaledObject"), of(objects, "PrometheusRule")
    (service,) = of(render(KSERVE), "InferenceService")
    external = service["spec"]["predictor"]["autoScaling"]["metrics"][0]["external"]
    assert float(scaled["spec"]["triggers"][0]["metadata"]["threshold"]) == carried
    assert float(external["target"]["value"]) == carried
    (few,) = (r for g in rules["spec"]["groups"] for r in g["rules"] if r.get("alert") == "TooFewPods")
    assert f"* {carried} <" in few["expr"]
    for deployment in of(objects, "Deployment"):
        assert quantity(_container(deployment)["resources"]["limits"]["cpu"]) == made.CORES

    def late(rate):
        times = queueing.arrivals(rate, 200_000 / rate, seed=3)
        takes = np.random.default_rng(4).exponential(made.SECONDS_A_TILE, times.size)
        waits = queueing.simulate(times, takes, made.CORES) - times - takes
        return np.mean(waits > made.SHARE * limit - made.SECONDS_A_TILE)

    assert late(carried) < 0.0115 and late(1.33 * carried) > 0.015
    with pytest.raises(ValueError, match="leaves no time"):
        made.share(2, 0.02, 0.006 - 0.02)


def test_digests_of_the_tracks_are_set_one_by_one(tmp_path):
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    for folder, letter in (("base", "a"), ("canary", "b"), ("components/gpu", "c")):
        path = tmp_path / "kubernetes" / folder / "kustomization.yaml"
        changed = path.read_text().replace("newTag: 1.0.0", f"digest: sha256:{letter * 64}")
        path.write_text(changed.replace("registry.example.com", f"{letter}.example.com"))

    def images(overlay):
        return {
            o["metadata"]["name"]: _container(o)["image"]
            for o in of(render(tmp_path / "kubernetes/overlays" / overlay), "Deployment")
        }

    assert images("production") == {
        "inspection": f"a.example.com/steel/inspection@sha256:{'a' * 64}",
        "inspection-canary": f"b.example.com/steel/inspection@sha256:{'b' * 64}",
    }
    assert images("gpu") == {"inspection": f"c.example.com/steel/inspection-gpu@sha256:{'c' * 64}"}


def change(kind, name=None):
    """A planted fault: a change to one object of the kind."""

    def decorate(function):
        def planted(objects):
            chosen = [o for o in of(objects, kind) if name in (None, o["metadata"]["name"])]
            assert chosen, f"nothing to spoil: {kind} {name}"
            function(chosen[0], objects)

        return planted

    return decorate


def _pod(o):
    return o["spec"]["template"]["spec"]


def _container(o):
    return _pod(o)["containers"][0]


def put(place, *path_and_value):
    *path, last, value = path_and_value
    for key in path:
        place = place[key]
    place[last] = value


def spoil(kind, *path_and_value, name=None):
    return change(kind, name)(lambda o, _: put(o, *path_and_value))


PLANTED = {
    "its selector does not match": spoil("Deployment", "spec", "selector", "matchLabels", {"track": "other"}),
    "takes the pods of inspection-canary": change("Deployment", "inspection")(
        lambda o, _: o["spec"]["selector"]["matchLabels"].pop("track")
    ),
    "0 Deployments behind it": spoil("Service", "spec", "selector", "track", "steady"),
    "2 Deployments behind it": change("Service", "inspection")(lambda o, _: o["spec"]["selector"].pop("track")),
    "port web is none": spoil("Service", "spec", "ports", 0, "targetPort", "web"),
    "no ServiceAccount": spoil("ServiceAccount", "metadata", "name", "other"),
    "no ConfigMap": spoil("ConfigMap", "metadata", "name", "inspection-old", name=None),
    "CVPROD_DRAIN_SECOND is no setting": change("ConfigMap")(lambda o, _: o["data"].update(CVPROD_DRAIN_SECOND="20")),
    "CVPROD_MAX_BATCH": change("ConfigMap")(lambda o, _: o["data"].update(CVPROD_MAX_BATCH="many")),
    "killed before it has drained": spoil(
        "Deployment", "spec", "template", "spec", "terminationGracePeriodSeconds", 30
    ),
    "the door closes": change("ConfigMap")(lambda o, _: o["data"].update(CVPROD_DRAIN_DELAY="1")),
    "ports {": change("ConfigMap")(lambda o, _: o["data"].update(CVPROD_PORT="8080")),
    "livenessProbe asks /readyz": change("Deployment")(
        lambda o, _: put(_container(o), "livenessProbe", "httpGet", "path", "/readyz")
    ),
    "no startupProbe": change("Deployment")(lambda o, _: _container(o).pop("startupProbe")),
    "the contract says 512": change("Deployment")(
        lambda o, _: [put(_container(o), "resources", side, "memory", "512Mi") for side in ("requests", "limits")]
    ),
    "not whole cores": change("Deployment")(lambda o, _: put(_container(o), "resources", "limits", "cpu", "2500m")),
    "/tmp may fill": change("Deployment")(
        lambda o, _: next(v for v in _pod(o)["volumes"] if "emptyDir" in v)["emptyDir"].pop("sizeLimit")
    ),
    "may gain privileges": change("Deployment")(lambda o, _: _container(o)["securityContext"].pop("capabilities")),
    "can be written": change("Deployment")(lambda o, _: _container(o)["securityContext"].pop("readOnlyRootFilesystem")),
    "not restricted": change("Deployment")(lambda o, _: _pod(o)["securityContext"].pop("seccompProfile")),
    "without a tag": change("Deployment")(lambda o, _: put(_container(o), "image", "registry.example.com/a:latest")),
    "a rollout takes pods away": spoil("Deployment", "spec", "strategy", "rollingUpdate", "maxUnavailable", 1),
    "nothing is called": spoil("ScaledObject", "spec", "scaleTargetRef", "name", "inspector"),
    "two autoscalers": change("ScaledObject")(
        lambda o, objects: objects.extend(of(render(KUBERNETES / "base"), "HorizontalPodAutoscaler"))
    ),
    "which its autoscaler sets too": spoil("Deployment", "spec", "replicas", 3, name="inspection"),
    "neither replicas nor": change("Deployment", "inspection-canary")(lambda o, _: o["spec"].pop("replicas")),
    "with one pod missing": spoil("ScaledObject", "spec", "minReplicaCount", 2),
    "the fallback is none": spoil("ScaledObject", "spec", "fallback", "replicas", 3),
    "no series is called cvprod_queue": change("ScaledObject")(
        lambda o, _: put(o["spec"]["triggers"][1], "metadata", "query", "sum(cvprod_queue)")
    ),
    "has no label path": change("ScaledObject")(
        lambda o, _: put(
            o["spec"]["triggers"][0], "metadata", "query", 'sum(rate(cvprod_requests_total{path="/"}[1m]))'
        )
    ),
    "no Service gives the job": change("ScaledObject")(
        lambda o, _: put(o["spec"]["triggers"][1], "metadata", "query", 'sum(cvprod_queue_images{job="cv"})')
    ),
    "asks in namespace default": change("ScaledObject")(
        lambda o, _: put(o["spec"]["triggers"][1], "metadata", "query", 'sum(cvprod_queue_images{namespace="default"})')
    ),
    "no pod may go, or all may": spoil("PodDisruptionBudget", "spec", "maxUnavailable", 3),
    "counts the pods of": change("PodDisruptionBudget")(lambda o, _: o["spec"]["selector"]["matchLabels"].pop("track")),
    "no listener": change("HTTPRoute")(lambda o, _: put(o, "spec", "parentRefs", 0, "sectionName", "tls")),
    "does not take it": spoil("GRPCRoute", "spec", "hostnames", ["inspection.example.com"]),
    "no Service inspection-next": change("HTTPRoute", "inspection")(
        lambda o, _: put(o, "spec", "rules", 0, "backendRefs", 1, "name", "inspection-next")
    ),
    "speaks another protocol": change("GRPCRoute")(
        lambda o, _: put(o, "spec", "rules", 0, "backendRefs", 0, "port", 8000)
    ),
    "the canary gets nothing": change("HTTPRoute", "inspection")(
        lambda o, _: put(o, "spec", "rules", 1, "backendRefs", 1, "weight", 10)
    ),
    "is not inference.": change("GRPCRoute")(
        lambda o, _: put(o, "spec", "rules", 0, "matches", 0, "method", "service", "inference.GRPCInference")
    ),
    "is not for callers": change("HTTPRoute", "inspection")(
        lambda o, _: put(o, "spec", "rules", 0, "matches", 0, "path", "value", "/v2/repository")
    ),
    "lets /v2/repository through": change("HTTPRoute", "inspection")(
        lambda o, _: put(o, "spec", "rules", 1, "matches", 1, "path", "type", "PathPrefix")
    ),
    "finds no Service": spoil("ServiceMonitor", "spec", "selector", "matchLabels", {"app": "inspection"}),
    "has no port metrics": change("ServiceMonitor")(lambda o, _: put(o, "spec", "endpoints", 0, "port", "metrics")),
    "leaves pods out": spoil(
        "NetworkPolicy", "spec", "podSelector", "matchLabels", {"track": "stable"}, name="inspection"
    ),
    "lets the service out": spoil("NetworkPolicy", "spec", "egress", [{}], name="inspection"),
    "open to all": spoil("NetworkPolicy", "spec", "ingress", 0, "from", [], name="inspection"),
    "has no bucket 0.02": change("PrometheusRule")(
        lambda o, _: put(
            o["spec"]["groups"][0]["rules"][1], "expr", 'rate(cvprod_request_seconds_bucket{le="0.02"}[5m])'
        )
    ),
    "the contract's tiles_per_s": change("PrometheusRule")(
        lambda o, _: put(
            o["spec"]["groups"][1]["rules"][1], "expr", "kube_deployment_status_replicas_available * 276 < 300"
        )
    ),
    "the contract's 10": change("PrometheusRule")(
        lambda o, _: put(o["spec"]["groups"][0]["rules"][0], "expr", 'cvprod_request_seconds_bucket{le="0.025"}')
    ),
    "outside the namespace": spoil("Service", "metadata", "namespace", "default"),
}


@pytest.mark.parametrize("says", PLANTED)
def test_planted_faults_are_found(says):
    objects = copy.deepcopy(render(KUBERNETES / "overlays/production"))
    PLANTED[says](objects)
    found = faults(objects)
    assert any(says in fault for fault in found), found


@pytest.mark.parametrize(
    "plant",
    [
        spoil("HorizontalPodAutoscaler", "spec", "metrics", 0, "resource", "target", "averageUtilization", 50),
        change("Deployment")(
            lambda o, _: [put(_container(o), "resources", side, "cpu", "4") for side in ("requests", "limits")]
        ),
    ],
)
def test_a_target_that_one_loop_cannot_reach_is_found(plant):
    objects = copy.deepcopy(render(KUBERNETES / "overlays/gpu"))
    plant(objects)
    assert any("loops can use" in fault for fault in faults(objects))


@pytest.mark.parametrize(
    ("says", "plant"),
    {
        "jobs in None": change("Deployment")(lambda o, _: _container(o).pop("env")),
        "jobs in /jobs, shared by all pods: nothing": spoil(
            "PersistentVolumeClaim", "spec", "accessModes", ["ReadWriteOnce"]
        ),
        "jobs in /job,": change("Deployment")(lambda o, _: put(_container(o), "env", 0, "value", "/job")),
        "belongs to somebody else": change("Deployment")(lambda o, _: _pod(o)["securityContext"].pop("fsGroup")),
    }.items(),
)
def test_planted_faults_in_shared_jobs_are_found(says, plant):
    objects = copy.deepcopy(render(KUBERNETES / "overlays/shared-jobs"))
    plant(objects)
    found = faults(objects)
    assert any(says in fault for fault in found), found


def test_production_is_for_callers_with_a_key():
    objects = render(KUBERNETES / "overlays/production")
    for deployment in of(objects, "Deployment"):
        chosen = settings.load([], environment(_container(deployment), objects))
        mounts = {mount["mountPath"]: mount["name"] for mount in _container(deployment)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in _pod(deployment)["volumes"]}
        secret = volumes[mounts[str(chosen.api_keys.parent)]]["secret"]
        assert secret["secretName"] == "inspection-api-keys" and not secret["optional"], "it starts without keys"
        assert chosen.rate_limit > 0
    (policy,) = (p for p in of(objects, "NetworkPolicy") if p["metadata"]["name"] == "inspection")
    for rule in policy["spec"]["ingress"]:
        for peer in rule["from"]:
            assert peer["namespaceSelector"].get("matchLabels"), "pods of any namespace get in"


def test_jobs_can_be_shared_by_both_tracks():
    objects = render(KUBERNETES / "overlays/production")
    assert faults(objects) == []
    chosen = {
        o["metadata"]["name"]: settings.load([], environment(_container(o), objects)) for o in of(objects, "Deployment")
    }
    assert {name: str(given.jobs) for name, given in chosen.items()} == dict.fromkeys(chosen, "/jobs")
    assert chosen["inspection"].work_on_jobs and not chosen["inspection-canary"].work_on_jobs


# --- Schemas ---

GROUPS = {
    "keda.sh/v1alpha1": "@kubernetes-models/keda",
    "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api",
    "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator",
}
OTHERS = {"serving.kserve.io/v1beta1", "ray.io/v1"}
#: Fields of a predictor that are KServe's and not a pod's.
KSERVE_OWN = {"minReplicas", "maxReplicas", "timeout", "autoScaling", "deploymentStrategy"}


def everything():
    for folder in (*(KUBERNETES / overlay for overlay in OVERLAYS), KSERVE, KUBERAY):
        for found in render(folder):
            yield folder.name, found


def pods_of_operators():
    """(name, Deployment) of the pods that KServe and KubeRay are asked for: Deployments are what scanners know."""
    (service,) = of(render(KSERVE), "InferenceService")
    predictor = service["spec"]["predictor"]
    pods = {"kserve": {k: v for k, v in predictor.items() if k not in KSERVE_OWN}}
    (ray,) = of(render(KUBERAY), "RayService")
    cluster = ray["spec"]["rayClusterConfig"]
    pods["ray-head"] = cluster["headGroupSpec"]["template"]["spec"]
    pods |= {f"ray-{g['groupName']}": g["template"]["spec"] for g in cluster["workerGroupSpecs"]}
    for name, pod in pods.items():
        labels = {"app": name}
        yield (
            name,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": name},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                    "strategy": predictor["deploymentStrategy"],
                },
            },
        )


@pytest.mark.parametrize("version", VERSIONS)
def test_core_objects_are_valid_and_have_no_unknown_field(version):
    core = [found for _, found in everything() if found["apiVersion"] not in GROUPS.keys() | OTHERS]
    assert len(core) > 50
    objects = [*core, *(deployment for _, deployment in pods_of_operators())]
    for found in {json.dumps(found): found for found in objects}.values():  # overlays share most of theirs
        kubernetes_validate.validate(found, version, strict=True)
    (bad,) = of(render(KUBERNETES / "base"), "Deployment")
    bad["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, version, strict=True)


def installed(name: str, *commands) -> Path:
    """A tool's own environment, made once below _build, or the test is skipped. `{}` stands for the folder."""
    place = BUILD / f"{name}-{hashlib.sha256(repr(commands).encode()).hexdigest()[:8]}"
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for command in commands:
            if shutil.which(str(command[0])) is None:
                pytest.skip(f"{name}: needs {command[0]}")
            done = run(*(str(word).replace("{}", str(place)) for word in command), cwd=place)
            if done.returncode:
                pytest.skip(f"{name} cannot be installed: {(done.stderr or done.stdout).strip()[-200:]}")
        (place / "done").touch()
    return place


UV = Path(sys.executable).with_name("uv")


def python_tool(name: str, requirement: str) -> Path:
    """The bin folder of a virtual environment of its own."""
    make = (UV, "venv", "--quiet", "--python", sys.executable, "{}/venv")
    return (
        installed(name, make, (UV, "pip", "install", "--quiet", "--python", "{}/venv/bin/python", requirement))
        / "venv/bin"
    )


def operators_objects():
    return [found for _, found in everything() if found["apiVersion"] in GROUPS]


#: Planted faults in operators' objects: what is changed, and what is said of it.
REFUSED = {
    "unknown-field": (spoil("ScaledObject", "spec", "minReplicas", 3), "minReplicas"),
    "enum": (spoil("ScaledObject", "spec", "fallback", "behavior", "hold"), "hold"),
    "minimum": (
        change("HTTPRoute", "inspection")(lambda o, _: put(o, "spec", "rules", 1, "backendRefs", 0, "weight", -1)),
        ">= 0",
    ),
    "duration": (
        change("HTTPRoute", "inspection")(lambda o, _: put(o, "spec", "rules", 1, "timeouts", "request", "15")),
        "pattern",
    ),
    "grpc-path": (change("GRPCRoute")(lambda o, _: put(o, "spec", "rules", 0, "matches", 0, "path", {})), "path"),
    "interval": (
        change("ServiceMonitor")(lambda o, _: put(o, "spec", "endpoints", 0, "interval", "15 s")),
        "pattern",
    ),
    "required": (change("PrometheusRule")(lambda o, _: o["spec"]["groups"][0]["rules"][0].pop("expr")), "expr"),
}


def with_fault(fault):
    """One overlay's objects of operators, with a planted fault."""
    kinds = ("ScaledObject", "HTTPRoute", "GRPCRoute", "ServiceMonitor", "PrometheusRule")
    objects = of(render(KUBERNETES / "overlays/production"), *kinds)
    fault(objects)
    return objects


@pytest.fixture(scope="module")
def crds():
    """What the operators' own schemas say of the shipped objects ("shipped") and of those with each planted fault.

    kubernetes-models has made them from the CRDs: types, which know every field and refuse others, and validators that
    know patterns, limits and what is required. Both are asked once for all, because the compiler takes long to start.
    """
    source = Path(__file__).parent / "crds"
    lock = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:8]
    commands = [("cp", source / name, "{}") for name in ("package.json", "package-lock.json")]
    place = installed(f"crds-{lock}", *commands, ("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"))
    given = {"shipped": operators_objects()} | {name: with_fault(fault) for name, (fault, _) in REFUSED.items()}
    models = {
        f"{GROUPS[found['apiVersion']]}/{found['apiVersion']}/{found['kind']}": found["kind"]
        for objects in given.values() for found in objects
    }  # fmt: skip
    types = [f'import type {{I{kind}}} from "{module}";' for module, kind in models.items()]
    values = [f'import {{{kind}}} from "{module}";' for module, kind in models.items()]
    values.append("const look = (o) => { try { o.validate(); return [] } catch (e) { return [e.message] } };")
    for name, objects in given.items():
        typed = [f"export const o{i}: I{found['kind']} = {json.dumps(found)};" for i, found in enumerate(objects)]
        (place / f"{name}.ts").write_text("\n".join(types + typed))
        made = ", ".join(f"new {found['kind']}({json.dumps(found)})" for found in objects)
        values.append(f"console.log(JSON.stringify([{json.dumps(name)}, [{made}].flatMap(look)]));")
    (place / "check.mjs").write_text("\n".join(values))
    options = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022")
    typed = run("node", "node_modules/typescript/bin/tsc", *options, *(f"{name}.ts" for name in given), cwd=place)
    checked = run("node", "check.mjs", cwd=place)
    assert checked.returncode == 0, checked.stderr
    said = {name: "".join(words) for name, words in map(json.loads, checked.stdout.splitlines())}
    assert said.keys() == given.keys()
    where = None
    for line in typed.stdout.splitlines():  # an error begins with its file's name, and may go on with an indented line
        where = line.partition(".ts(")[0] if line[0] != " " else where
        said[where] += line
    return said


def test_custom_resources_are_valid_by_their_operators_schemas(crds):
    wanted = {"ScaledObject", "Gateway", "HTTPRoute", "GRPCRoute", "ServiceMonitor", "PodMonitor", "PrometheusRule"}
    assert {found["kind"] for found in operators_objects()} == wanted
    assert crds["shipped"] == ""


@pytest.mark.parametrize("fault", REFUSED)
def test_schemas_of_operators_refuse(crds, fault):
    assert REFUSED[fault][1] in crds[fault]


# --- Prometheus ---


def test_rules_fire_on_known_numbers(tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (apt-get install prometheus)")
    (rules,) = of(render(KUBERNETES / "overlays/production"), "PrometheusRule")
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules["spec"]))
    pod = 'namespace="inspection", job="{}", route="/v1/inspect"'
    few, slow, stopped = "TooFewPods", "TrackOverContract", "PodsThrottled"
    pods = 'namespace="inspection", container="inspection", pod="{}"'
    inputs = [
        {
            "series": 'kube_deployment_status_replicas_available{namespace="inspection", deployment="inspection"}',
            "values": "3x10 1x30",
        },
        # Stable: half a percent beyond 10 ms. Canary: five.
        {"series": f"cvprod_request_seconds_count{{{pod.format('inspection')}}}", "values": "0+6000x40"},
        {"series": f'cvprod_request_seconds_bucket{{{pod.format("inspection")}, le="0.01"}}', "values": "0+5970x40"},
        {"series": f"cvprod_request_seconds_count{{{pod.format('inspection-canary')}}}", "values": "0+600x40"},
        {
            "series": f'cvprod_request_seconds_bucket{{{pod.format("inspection-canary")}, le="0.01"}}',
            "values": "0+570x40",
        },
        {
            "series": 'container_memory_working_set_bytes{namespace="inspection", container="inspection", pod="a"}',
            "values": "230000000x40",
        },
        # Of 600 periods a minute pod a was stopped in 12, pod b in 3.
        *(
            {"series": f"container_cpu_cfs_{what}periods_total{{{pods.format(pod)}}}", "values": f"0+{number}x40"}
            for pod, what, number in (("a", "", 600), ("a", "throttled_", 12), ("b", "", 600), ("b", "throttled_", 3))
        ),
    ]

    def fired(name):
        (rule,) = [r for g in rules["spec"]["groups"] for r in g["rules"] if r.get("alert") == name]
        return rule["labels"], rule["annotations"]

    def alert(name, **labels):
        own, says = fired(name)
        values = {few: "276", slow: "5%", stopped: "2%"}
        filled = {
            key: text.replace("{{ $value }}", values[name])
            .replace("{{ $value | humanizePercentage }}", values[name])
            .replace("{{ $labels.job }}", labels.get("job", ""))
            .replace("{{ $labels.pod }}", labels.get("pod", ""))
            for key, text in says.items()
        }
        return {"exp_labels": own | labels, "exp_annotations": filled}

    checks = [
        {"eval_time": "9m", "alertname": few, "exp_alerts": []},
        {
            "eval_time": "20m",
            "alertname": few,
            "exp_alerts": [alert(few)],
        },
        {
            "eval_time": "30m",
            "alertname": slow,
            "exp_alerts": [alert(slow, namespace="inspection", job="inspection-canary")],
        },
        {"eval_time": "30m", "alertname": "MemoryNearLimit", "exp_alerts": []},
        {"eval_time": "30m", "alertname": stopped, "exp_alerts": [alert(stopped, pod="a")]},
    ]
    # kube-state-metrics, or the Deployment, is gone.
    nobody = alert(few)
    nobody["exp_annotations"]["summary"] = nobody["exp_annotations"]["summary"].replace("276", "0")
    absent = [{"eval_time": "5m", "alertname": few, "exp_alerts": [nobody]}]
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {"interval": "1m", "input_series": inputs, "alert_rule_test": checks},
            {"interval": "1m", "input_series": [{"series": "up", "values": "1x10"}], "alert_rule_test": absent},
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    done = run("promtool", "check", "rules", tmp_path / "rules.yml")
    assert done.returncode == 0, done.stderr
    done = run("promtool", "test", "rules", tmp_path / "tests.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_demand_is_counted_in_tiles_however_they_come(tmp_path):
    """KEDA's and KServe's query: rows of twelve, streams and refusals count; without any series there is no answer."""
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (apt-get install prometheus)")
    (scaled,) = of(render(KUBERNETES / "overlays/autoscaling-keda"), "ScaledObject")
    (service,) = of(render(KSERVE), "InferenceService")
    external = service["spec"]["predictor"]["autoScaling"]["metrics"][0]["external"]
    queries = {
        'namespace="inspection", job="inspection"': scaled["spec"]["triggers"][0]["metadata"]["query"],
        'namespace="inspection-kserve", container="kserve-container"': external["metric"]["query"],
    }

    def test(inputs, query, expected):
        samples = [{"labels": "{}", "value": value} for value in expected]
        return {
            "interval": "15s",
            "input_series": [{"series": series, "values": values} for series, values in inputs.items()],
            "promql_expr_test": [{"expr": query, "eval_time": "5m", "exp_samples": samples}],
        }

    tests = []
    for place, query in queries.items():
        # 60 tiles a second in five rows of twelve, 30 frames by another pod; besides, 3 refused and 7 corrupt.
        rows = {
            f'cvprod_batch_images_sum{{{place}, pod="a"}}': "0+900x30",
            f'cvprod_requests_total{{{place}, pod="a", route="/v1/inspect", code="200"}}': "0+75x30",
            f'cvprod_batch_images_sum{{{place}, pod="b"}}': "0+450x30",
            f'cvprod_batch_images_sum{{{place.replace("inspection", "other")}, pod="a"}}': "0+90000x30",
        }
        refused = {
            f'cvprod_rejected_total{{{place}, pod="a", reason="{reason}"}}': f"0+{each}x30"
            for reason, each in (("overloaded", 30), ("deadline-exceeded", 15), ("image-corrupt", 105))
        }
        idle = {f'cvprod_batch_images_sum{{{place}, pod="a"}}': "0+0x30"}
        tests += [test(rows, query, [90]), test(rows | refused, query, [93]), test(idle, query, [0])]
        tests.append(test({"up": "1x30"}, query, []))
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": tests}))
    done = run("promtool", "test", "rules", tmp_path / "tests.yml")
    assert done.returncode == 0, done.stdout + done.stderr


# --- checkov ---


SCANNED = ["base", "overlays/gpu", "overlays/production", "overlays/shared-jobs"]  # the others are parts of these


@pytest.fixture(scope="module")
def checkov(tmp_path_factory):
    """What one run of checkov (it takes long to start) found: name -> (failed, skipped) sets of (check, resource)."""
    program, folder = python_tool("checkov", "checkov==3.3.30") / "checkov", tmp_path_factory.mktemp("checkov")
    spoilt = of(render(KUBERNETES / "base"), "Deployment")
    put(_container(spoilt[0]), "securityContext", {"privileged": True})
    given = {overlay: text(KUBERNETES / overlay) for overlay in SCANNED}
    given["operators"] = yaml.safe_dump_all([deployment for _, deployment in pods_of_operators()])
    given["privileged"] = yaml.safe_dump_all(spoilt)
    files = []
    for number, content in enumerate(given.values()):
        (folder / str(number)).mkdir()  # one that is seen alone: checks look at what stands beside a resource
        files.append(folder / str(number) / "rendered.yaml")
        files[-1].write_text(content)
    options = ("--framework", "kubernetes", "--output", "json", "--compact", "--skip-download")
    done = run(program, "--file", *files, *options, env={**os.environ, "BC_SKIP_MAPPING": "TRUE"})
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    names = dict(zip(map(str, files), given, strict=True))
    kinds = ("failed_checks", "skipped_checks", "passed_checks")
    found = {name: {kind: set() for kind in kinds} for name in given}
    for kind in kinds:
        for c in report["results"].get(kind, []):
            found[names[c["file_abs_path"]]][kind].add((c["check_id"], c["resource"]))
    assert all(len(seen["passed_checks"]) > 10 for seen in found.values())
    return {name: (seen["failed_checks"], seen["skipped_checks"]) for name, seen in found.items()}


def skips(objects) -> dict[str, str]:
    """Check and reason of every checkov.io/skip annotation."""
    found = {}
    for o in objects:
        for key, value in o["metadata"].get("annotations", {}).items():
            if key.startswith("checkov.io/skip"):
                check, _, reason = value.partition("=")
                found[check] = reason
    return found


@pytest.mark.parametrize("overlay", SCANNED)
def test_checkov_finds_nothing_but_what_is_explained(checkov, overlay):
    failed, skipped = checkov[overlay]
    explained = skips(render(KUBERNETES / overlay))
    assert failed == set()
    assert {check for check, _ in skipped} == set(explained), "a skip that nothing needs, or one without a reason"
    assert all(len(reason) > 30 for reason in explained.values())


def test_checkov_over_the_operators_pods(checkov):
    """KServe's and KubeRay's pods are in fields that checkov does not read, so it gets them as Deployments."""
    failed, _ = checkov["operators"]
    # As in base: digests are CI's, and tags are not moved.
    left = {(check, resource.split(".")[1]) for check, resource in failed} - {
        (check, name) for name, _ in pods_of_operators() for check in ("CKV_K8S_43", "CKV_K8S_15", "CKV2_K8S_6")
    }
    ray = {"ray-head", "ray-cpu"}
    # CKV_K8S_8, 9: probes are KubeRay's. 22: Ray writes to its root. 40: the user of its image is 1000.
    explained = {(f"CKV_K8S_{number}", name) for number in (8, 9, 22, 40) for name in ray}
    # The autoscaler in the head asks the API server.
    explained |= {("CKV_K8S_38", "ray-head")}
    assert left == explained


def test_checkov_sees_a_privileged_pod(checkov):
    assert {"CKV_K8S_16", "CKV_K8S_22", "CKV_K8S_20"} <= {check for check, _ in checkov["privileged"][0]}


# --- The settings of the manifest, in the real service ---


def get(address, path):
    try:
        with urllib.request.urlopen(address + path, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def test_the_service_runs_by_these_settings_and_fails_readiness_before_it_closes(tmp_path):
    objects = render(KUBERNETES / "overlays/production")
    (deployment,) = [o for o in of(objects, "Deployment") if o["metadata"]["name"] == "inspection"]
    container = _container(deployment)
    given = environment(container, objects) | {"CVPROD_HOST": "127.0.0.1", "CVPROD_PORT": "0", "CVPROD_GRPC_PORT": "0"}
    given |= {"CVPROD_WORKERS": "1", "PATH": os.environ["PATH"], "PYTHONPATH": str(root())}
    keys = tmp_path / "keys.jsonl"  # in the cluster a Secret
    keys.touch(mode=0o600)
    given |= {"CVPROD_API_KEYS": str(keys), "CVPROD_JOBS": str(tmp_path / "jobs")}
    process = subprocess.Popen(
        [sys.executable, "-m", "cvprod.serving"], env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        assert "Listening" in line, process.stderr.read()
        address = line.split()[-1]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert get(address, container[probe]["httpGet"]["path"])[0] == 200
        (predictor,) = of(render(KSERVE), "InferenceService")
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert get(address, predictor["spec"]["predictor"]["containers"][0][probe]["httpGet"]["path"])[0] == 200
        paths = set(json.loads(get(address, "/openapi.json")[1])["paths"]) | {"/v1/stream"}
        for route in of(objects, "HTTPRoute"):
            for match in (m for rule in route["spec"]["rules"] for m in rule.get("matches", [])):
                value = match["path"]["value"]
                assert any(path == value or path.startswith(f"{value}/") for path in paths), value
        (monitor,) = of(objects, "ServiceMonitor")
        status, exposed = get(address, monitor["spec"]["endpoints"][0]["path"])
        assert status == 200 and "cvprod_queue_images" in exposed
        process.send_signal(signal.SIGTERM)
        begun, seen = time.monotonic(), set()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 20:
                seen.add(get(address, "/readyz")[0])
                time.sleep(0.2)
        closed = time.monotonic() - begun
        assert 503 in seen, "readiness fails while the door is open"
        assert 4 < closed < deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()


# --- KServe ---


@pytest.fixture(scope="module")
def kserve_models():
    """class -> {field in YAML: type}, read from the models in KServe's own package, which are made of its CRD."""
    place = installed("kserve", (UV, "pip", "install", "--quiet", "--no-deps", "--target", "{}", "kserve==0.21.0"))
    found = {}
    for path in (place / "kserve/models").glob("v1beta1_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                tables = {
                    s.targets[0].id: ast.literal_eval(s.value)
                    for s in node.body
                    if isinstance(s, ast.Assign) and s.targets[0].id in ("openapi_types", "attribute_map")
                }
                types, names = tables["openapi_types"], tables["attribute_map"]
                found[node.name] = {names[key]: types[key] for key in types}
    return found


def kserve_faults(models, kind, value, where=""):
    fields = models[kind]
    for name, inside in value.items():
        if name not in fields:
            yield f"{where}.{name} is no field of {kind}"
            continue
        listed = re.fullmatch(r"list\[(\w+)\]", fields[name])
        nested = listed[1] if listed else fields[name]
        if nested in models:
            for item in inside if listed else [inside]:
                yield from kserve_faults(models, nested, item, f"{where}.{name}")
        elif (wanted := {"int": int, "str": str, "bool": bool}.get(nested)) and not isinstance(inside, wanted):
            yield f"{where}.{name} is no {nested}"


def test_kserve_fields_are_those_of_its_crd(kserve_models):
    (service,) = of(render(KSERVE), "InferenceService")
    assert list(kserve_faults(kserve_models, "V1beta1InferenceServiceSpec", service["spec"])) == []
    predictor = service["spec"]["predictor"]
    predictor["autoScaling"]["metrics"][0]["external"]["metric"]["threshold"] = "1"
    predictor["maxReplica"] = 3
    predictor["minReplicas"] = "3"
    found = " ".join(kserve_faults(kserve_models, "V1beta1InferenceServiceSpec", service["spec"]))
    assert "threshold is no field" in found and "maxReplica is no field" in found and "minReplicas is no int" in found


def test_kserve_serves_as_base_does():
    objects = render(KSERVE)
    (service,) = of(objects, "InferenceService")
    notes, predictor = service["metadata"]["annotations"], service["spec"]["predictor"]
    assert notes["serving.kserve.io/deploymentMode"] in ("RawDeployment", "Standard"), "KEDA works in this mode alone"
    assert notes["serving.kserve.io/autoscalerClass"] == "keda"
    (container,) = predictor["containers"]
    assert container["name"] == "kserve-container"
    assert list(pod_faults("kserve", predictor, objects)) == []
    (base,) = of(render(KUBERNETES / "base"), "Deployment")
    assert container["resources"] == _container(base)["resources"] and container["image"] == _container(base)["image"]
    kinds = {metric["type"] for metric in predictor["autoScaling"]["metrics"]}
    assert kinds == {"External", "Resource"}
    external = predictor["autoScaling"]["metrics"][0]["external"]
    # Its reconciler reads target.value and nothing else; missing, the threshold is gone.
    assert (predictor["minReplicas"] - 1) * float(external["target"]["value"]) >= LIMITS.tiles_per_s.limit
    query = external["metric"]["query"]
    assert list(expression_faults("kserve", query, service["metadata"]["namespace"], set())) == []
    label = {"serving.kserve.io/inferenceservice": service["metadata"]["name"]}
    (budget,), (monitor,) = of(objects, "PodDisruptionBudget"), of(objects, "PodMonitor")
    assert budget["spec"]["selector"]["matchLabels"] == monitor["spec"]["selector"]["matchLabels"] == label
    assert budget["spec"]["maxUnavailable"] < predictor["minReplicas"] < predictor["maxReplicas"]
    assert monitor["spec"]["podMetricsEndpoints"][0]["port"] == container["ports"][0]["name"]
    assert predictor["serviceAccountName"] in {o["metadata"]["name"] for o in of(objects, "ServiceAccount")}


def test_kserve_opens_no_more_than_the_gateway_does():
    objects = render(KSERVE)
    (service,), (route,), (policy,) = (of(objects, k) for k in ("InferenceService", "HTTPRoute", "NetworkPolicy"))
    # KServe's own route would lead a whole host name to the container.
    assert service["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"

    def paths(found):
        return [[match["path"] for match in rule["matches"]] for rule in found["spec"]["rules"]]

    (ours,) = [
        o for o in of(render(KUBERNETES / "overlays/gateway"), "HTTPRoute") if "matches" in o["spec"]["rules"][0]
    ]
    assert paths(route) == paths(ours)
    assert [r["timeouts"] for r in route["spec"]["rules"]] == [r["timeouts"] for r in ours["spec"]["rules"]]
    backends = {(b["name"], b["port"]) for rule in route["spec"]["rules"] for b in rule["backendRefs"]}
    assert backends == {(f"{service['metadata']['name']}-predictor", 80)}
    own = {"serving.kserve.io/inferenceservice": service["metadata"]["name"]}
    assert policy["spec"]["podSelector"]["matchLabels"] == own
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"} and not policy["spec"]["egress"]
    (rule,) = policy["spec"]["ingress"]
    (port,) = service["spec"]["predictor"]["containers"][0]["ports"]
    assert [p["port"] for p in rule["ports"]] == [port["containerPort"]]
    (base,) = of(render(KUBERNETES / "base"), "NetworkPolicy")
    assert rule["from"] == [peer for other in base["spec"]["ingress"] for peer in other["from"]]


# --- KubeRay ---

#: Fields of KubeRay 1.4, from its API reference (ray-project.github.io/kuberay/reference/api); no package has them.
RAY = {
    "RayService": {
        "serveConfigV2", "rayClusterConfig", "upgradeStrategy", "excludeHeadPodFromServeSvc", "serveService",
    },
    "upgradeStrategy": {"type"},
    "rayClusterConfig": {
        "rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec", "workerGroupSpecs",
        "gcsFaultToleranceOptions", "suspend", "managedBy", "headServiceAnnotations",
    },
    "autoscalerOptions": {
        "version", "upscalingMode", "idleTimeoutSeconds", "resources", "securityContext", "image", "imagePullPolicy",
        "env", "envFrom", "volumeMounts",
    },
    "headGroupSpec": {"rayStartParams", "template", "serviceType", "headService", "enableIngress"},
    "workerGroupSpecs": {
        "groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "idleTimeoutSeconds", "rayStartParams",
        "template", "scaleStrategy", "suspend",
    },
}  # fmt: skip


def ray_faults(objects):
    """What does not fit in the RayService, its image and its pods."""
    (service,) = of(objects, "RayService")
    spec, cluster = service["spec"], service["spec"]["rayClusterConfig"]
    parts = {"RayService": [spec], "rayClusterConfig": [cluster], "workerGroupSpecs": cluster["workerGroupSpecs"]}
    parts |= {"upgradeStrategy": [spec["upgradeStrategy"]]}
    parts |= {name: [cluster[name]] for name in ("autoscalerOptions", "headGroupSpec")}
    for kind, found in parts.items():
        for part in found:
            yield from (f"{field} is no field of {kind}" for field in sorted(set(part) - RAY[kind]))
    if spec["upgradeStrategy"]["type"] not in ("NewCluster", "None"):
        yield "no such upgrade strategy"
    version = cluster["rayVersion"]
    if f"ARG RAY_VERSION={version}\n" not in (KUBERAY / "Dockerfile").read_text():
        yield f"the image is not made of Ray {version}"
    head, groups = cluster["headGroupSpec"]["template"]["spec"], cluster["workerGroupSpecs"]
    for pod in (head, *(group["template"]["spec"] for group in groups)):
        name = pod["containers"][0]["name"]
        if f"ray{version}" not in pod["containers"][0]["image"]:
            yield f"{name}: image of another Ray"
        if pod.get("restartPolicy") != "Never":
            yield f"{name}: autoscaler v2 wants restartPolicy Never"
        if "livenessProbe" in pod["containers"][0] or "readinessProbe" in pod["containers"][0]:
            yield f"{name}: probes are KubeRay's"
        yield from pod_faults(name, pod, objects, ours=False)
    if cluster["headGroupSpec"]["rayStartParams"].get("num-cpus") != "0" or not spec["excludeHeadPodFromServeSvc"]:
        yield "the head computes"
    if any(group["template"]["spec"].get("automountServiceAccountToken") is not False for group in groups):
        yield "a worker has a token"
    config = yaml.safe_load(spec["serveConfigV2"])
    needed = {"min_replicas": 0.0, "max_replicas": 0.0}
    for application in config["applications"]:
        for deployment in application["deployments"]:
            for bound in needed:
                needed[bound] += deployment["autoscaling_config"][bound] * deployment["ray_actor_options"]["num_cpus"]
            grace = min(group["template"]["spec"]["terminationGracePeriodSeconds"] for group in groups)
            if deployment["graceful_shutdown_timeout_s"] >= grace:
                yield f"{deployment['name']}: killed before it has drained"
    for bound, field in (("min_replicas", "minReplicas"), ("max_replicas", "maxReplicas")):
        cores = sum(
            group[field] * quantity(group["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
            for group in groups
        )
        if cores < needed[bound]:
            yield f"{field}: {cores:g} cores for {needed[bound]:g} that {bound} wants"
    selectors = [policy["spec"]["podSelector"].get("matchLabels", {}) for policy in of(objects, "NetworkPolicy")]
    if {"ray.io/is-ray-node": "yes"} not in selectors:
        yield "the dashboard is open"


def test_ray_service_fits_together():
    assert list(ray_faults(render(KUBERAY))) == []


@pytest.mark.parametrize(
    ("says", "path_and_value"),
    [
        ("minReplica is no field", ("workerGroupSpecs", 0, "minReplica", 1)),
        ("the image is not made", ("rayVersion", "2.59.0")),
        ("restartPolicy Never", ("headGroupSpec", "template", "spec", "restartPolicy", "Always")),
        ("a worker has a token", ("workerGroupSpecs", 0, "template", "spec", "automountServiceAccountToken", True)),
        ("that max_replicas wants", ("workerGroupSpecs", 0, "maxReplicas", 3)),
        ("killed before", ("workerGroupSpecs", 0, "template", "spec", "terminationGracePeriodSeconds", 20)),
        ("the head computes", ("headGroupSpec", "rayStartParams", {})),
    ],
)
def test_planted_faults_in_the_ray_service_are_found(says, path_and_value):
    objects = render(KUBERAY)
    (service,) = of(objects, "RayService")
    put(service["spec"]["rayClusterConfig"], *path_and_value)
    found = list(ray_faults(objects))
    assert any(says in fault for fault in found), found


RAY_CHECK = """
import json, sys
import ray
from ray.serve import schema
from ray.serve.config import AutoscalingConfig
def unknown(model, given):
    return sorted(set(given) - set(model.model_fields))
def check(config):
    schema.ServeDeploySchema.model_validate(config)
    bad = unknown(schema.ServeDeploySchema, config) + unknown(schema.HTTPOptionsSchema, config.get("http_options", {}))
    for application in config["applications"]:
        bad += unknown(schema.ServeApplicationSchema, application)
        for deployment in application["deployments"]:
            bad += unknown(schema.DeploymentSchema, deployment)
            bad += unknown(schema.RayActorOptionsSchema, deployment["ray_actor_options"])
            bad += unknown(AutoscalingConfig, deployment["autoscaling_config"])
            AutoscalingConfig.model_validate(deployment["autoscaling_config"])
    return f"unknown: {bad}" if bad else ""
def said(config):
    try:
        return check(config)
    except ValueError as error:
        return str(error)
print(json.dumps([ray.__version__, *map(said, json.load(sys.stdin))]))
"""


def test_serve_configuration_is_valid_by_ray_itself():
    (service,) = of(render(KUBERAY), "RayService")
    try:
        python = peers.environment("ray")
    except RuntimeError as error:
        pytest.skip(str(error))
    given = [yaml.safe_load(service["spec"]["serveConfigV2"]) for _ in range(3)]
    _, crossed, misspelt = (config["applications"][0]["deployments"][0]["autoscaling_config"] for config in given)
    crossed["max_replicas"] = 1
    misspelt |= {"max_replicas": 12, "max_replica": 12}
    done = run(python, "-c", RAY_CHECK, input=json.dumps(given))
    assert done.returncode == 0, done.stderr[-1000:]
    version, *said = json.loads(done.stdout.splitlines()[-1])
    assert version == service["spec"]["rayClusterConfig"]["rayVersion"], "another Ray than the one that is tested here"
    assert said[0] == ""
    assert "max_replicas" in said[1], "less than min_replicas"
    assert said[2] == "unknown: ['max_replica']"


def test_ray_image_has_the_locks_packages_and_files_that_exist():
    def pinned(path):
        return dict(re.findall(r"^([\w.-]+)==(\S+)(?=[ \\])", path.read_text(), re.M))

    own, lock = pinned(KUBERAY / "requirements.txt"), pinned(DEPLOY / "docker/requirements.txt")
    assert {"onnxruntime", "numpy", "pillow"} <= set(own) and own.items() <= lock.items()
    # What Ray brings by itself, in versions of its own: an older protobuf keeps Serve from starting.
    assert not set(own) & {"protobuf", "pydantic", "grpcio", "fastapi", "starlette", "uvicorn"}
    recipe = (KUBERAY / "Dockerfile").read_text()
    assert "--require-hashes" in recipe and "--no-deps" in recipe and "latest" not in recipe
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", recipe, re.M) for word in line.split()]
    assert all((root() / name).exists() for name in copied if "*" not in name)


def within(smaller, larger) -> bool:
    """All of the smaller document is in the larger one, with the same values."""
    if isinstance(smaller, dict):
        return isinstance(larger, dict) and all(k in larger and within(v, larger[k]) for k, v in smaller.items())
    if isinstance(smaller, list):
        return len(smaller) == len(larger) and all(map(within, smaller, larger))
    return smaller == larger


def test_ray_application_is_the_one_that_is_imported():
    (service,) = of(render(KUBERAY), "RayService")
    config = yaml.safe_load(service["spec"]["serveConfigV2"])
    assert within(yaml.safe_load((DEPLOY / "ray/serve.yaml").read_text()), config), "the same as without KubeRay"
    (application,) = config["applications"]
    module, _, graph = application["import_path"].partition(":")
    tree = ast.parse((DEPLOY / f"ray/{module}.py").read_text())
    assigned = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    assert graph in {target.id for target in assigned if isinstance(target, ast.Name)}
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assert {deployment["name"] for deployment in application["deployments"]} <= classes
