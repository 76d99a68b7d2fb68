"""Progressive delivery as manifests: held to Flagger's own schemas, and played through as Flagger would.

`as_flagger` makes what Flagger makes of a Canary (a primary Deployment, three Services, the route), by the rules of its
source, so that selectors, policies and queries can be followed to pods that no manifest names.
"""

import copy
import functools
import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from cvprod import contract
from cvprod.repo import root
from cvprod.rollout import gates, server

FOLDER = root() / "deploy/kubernetes/rollout"
NAME = "app.kubernetes.io/name"
SCHEMAS = yaml.safe_load((Path(__file__).parent / "flagger_crds.yaml").read_text())

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl (kustomize is inside)")


@functools.cache
def text(name):
    done = subprocess.run(["kubectl", "kustomize", FOLDER / name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(name="flagger"):
    return list(yaml.safe_load_all(text(name)))


def one(found, kind, name):
    (match,) = [o for o in found if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return match


def strict(schema):
    """The same schema, which also refuses fields that it does not know, as the API server does."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


def as_flagger(found):
    """The objects that Flagger makes, by its source (pkg/canary, pkg/router)."""
    canary = one(found, "Canary", "inspection")["spec"]
    target = one(found, "Deployment", canary["targetRef"]["name"])
    primary = copy.deepcopy(target)
    primary["metadata"]["name"] += "-primary"
    primary["spec"]["template"]["metadata"]["labels"][NAME] += "-primary"
    primary["spec"]["selector"] = {"matchLabels": {NAME: primary["spec"]["template"]["metadata"]["labels"][NAME]}}
    value, service = target["spec"]["selector"]["matchLabels"][NAME], canary["service"]
    services = [
        {
            "kind": "Service",
            "metadata": {"name": service["name"] + end, "labels": {NAME: service["name"] + end}},
            "spec": {
                "selector": {NAME: value + pods},
                "ports": [{"port": service["port"], "name": service["portName"]}],
            },
        }
        for end, pods in (("", "-primary"), ("-primary", "-primary"), ("-canary", ""))
    ]
    return [primary, *services]


def pods(found):
    return {
        o["metadata"]["name"]: o["spec"]["template"]["metadata"]["labels"] for o in found if o["kind"] == "Deployment"
    }


def behind(found, selector):
    return {name for name, labels in pods(found).items() if selector.items() <= labels.items()}


def faults(found):
    """What does not fit together once Flagger has made its part."""
    whole = found + as_flagger(found)
    named = {}
    for o in whole:
        named.setdefault((o["kind"], o["metadata"]["name"]), []).append(o)
    yield from (f"{kind} {name}: made by us and by Flagger" for (kind, name), many in named.items() if len(many) > 1)
    if ("HTTPRoute", "inspection") in named:
        yield "HTTPRoute inspection: Flagger makes it"
    wanted = {
        "inspection": {"inspection-primary"}, "inspection-primary": {"inspection-primary"},
        "inspection-canary": {"inspection"}, "inspection-grpc": {"inspection-primary"},
        "inspection-rollout-gate": {"inspection-rollout-gate"},
    }  # fmt: skip
    for name, expected in wanted.items():
        got = behind(whole, named["Service", name][0]["spec"]["selector"])
        if got != expected:
            yield f"Service {name}: reaches {got or 'nobody'}"
    budget = named["PodDisruptionBudget", "inspection"][0]["spec"]["selector"]["matchLabels"]
    if behind(whole, budget) != {"inspection-primary"}:
        yield "PodDisruptionBudget: does not count the pods that serve"
    policy = named["NetworkPolicy", "inspection"][0]["spec"]["podSelector"]["matchLabels"]
    if behind(whole, policy) != {"inspection", "inspection-primary"}:
        yield "NetworkPolicy: not for both tracks"
    for route in (o for o in whole if o["kind"] == "GRPCRoute"):
        for backend in (b for rule in route["spec"]["rules"] for b in rule["backendRefs"]):
            if ("Service", backend["name"]) not in named:
                yield f"GRPCRoute: no Service {backend['name']}"
    yield from _canary_faults(found, named)


def _canary_faults(found, named):
    spec = one(found, "Canary", "inspection")["spec"]
    analysis = spec["analysis"]
    templates = {o["metadata"]["name"]: o["spec"] for o in found if o["kind"] == "MetricTemplate"}
    for metric in analysis["metrics"]:
        if set(metric.get("thresholdRange", {})) != {"min", "max"}:
            yield f"metric {metric['name']}: a range with one end or none"
        if metric["templateRef"]["name"] not in templates:
            yield f"metric {metric['name']}: no template"
    for name, template in templates.items():
        query = template["query"]
        if re.search(r"\bor\b", query):
            yield f"template {name}: a missing number is replaced"
        for job in re.findall(r'job="([^"]*)"', query):
            job = job.replace("{{ service }}", spec["service"]["name"])
            if ("Service", job) not in named:
                yield f"template {name}: no Service gives the job {job}"
        if query.count('namespace="{{ namespace }}"') != len(re.findall(r"cvprod_\w+\{", query)):
            yield f"template {name}: asks in every namespace"
    gate = named["Service", "inspection-rollout-gate"][0]["spec"]["ports"][0]["port"]
    kinds = {"begin": "pre-rollout", "rollback": "rollback", "promote": "confirm-promotion"}
    for hook in analysis["webhooks"]:
        place, _, path = hook["url"].partition("/gate/")
        if place != f"http://inspection-rollout-gate:{gate}" or kinds.get(path) != hook["type"]:
            yield f"hook {hook['name']}: {hook['url']} is no {hook['type']}"
    if {hook["type"] for hook in analysis["webhooks"]} != set(kinds.values()):
        yield "hooks: one of begin, rollback and promote is missing"
    steps = analysis["stepWeights"]
    if steps != sorted(set(steps)) or not 0 < steps[0] <= 10 or steps[-1] >= 100:
        yield f"steps {steps}"


def test_the_manifests_fit_together():
    assert list(faults(objects())) == []


@pytest.mark.parametrize("kind", sorted(SCHEMAS))
def test_flaggers_own_schemas_take_them(kind):
    found = [o for o in objects() if o["kind"] == kind]
    assert found
    for made in found:
        jsonschema.validate(made, strict(SCHEMAS[kind]))


def _set(path, value):
    def plant(found):
        node = one(found, path[0], path[1])
        for key in path[2:-1]:
            node = node[key]
        node[path[-1]] = value

    return plant


def _gone(kind, name, *path):
    def plant(found):
        node = one(found, kind, name)
        for key in path[:-1]:
            node = node[key]
        del node[path[-1]]

    return plant


CANARY = ("Canary", "inspection", "spec", "analysis")
PLANTED = {
    "a range with one end": _gone(*CANARY, "metrics", 0, "thresholdRange", "min"),
    "no range": _gone(*CANARY, "metrics", 1, "thresholdRange"),
    "a template that is not there": _set((*CANARY, "metrics", 2, "templateRef", "name"), "error"),
    "a query that repairs": _set(("MetricTemplate", "errors", "spec", "query"), "sum(x) or vector(0)"),
    "a job of nobody": _set(
        ("MetricTemplate", "errors", "spec", "query"), 'cvprod_requests_total{namespace="{{ namespace }}", job="x"}'
    ),
    "every namespace": _set(("MetricTemplate", "errors", "spec", "query"), "cvprod_requests_total{}"),
    "promotion asked at the rollback": _set((*CANARY, "webhooks", 1, "url"), "http://inspection-rollout-gate:9100/gate/promote"),
    "a hook to nowhere": _set((*CANARY, "webhooks", 2, "url"), "http://gate:9100/gate/promote"),
    "no rollback": _gone(*CANARY, "webhooks", 1),
    "steps that jump": _set((*CANARY, "stepWeights"), [50, 100]),
    "a budget for nobody": _set(
        ("PodDisruptionBudget", "inspection", "spec", "selector", "matchLabels", NAME), "inspection"
    ),
    "a policy for the canary alone": _set(
        ("NetworkPolicy", "inspection", "spec", "podSelector", "matchLabels"), {NAME: "inspection"}
    ),
    "gRPC to the canary": _set(("Service", "inspection-grpc", "spec", "selector"), {NAME: "inspection"}),
    "a gate without pods": _set(("Service", "inspection-rollout-gate", "spec", "selector"), {NAME: "gate"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name):
    found = copy.deepcopy(objects())
    PLANTED[name](found)
    assert list(faults(found))


@pytest.mark.parametrize(
    ("path", "value"),
    [((*CANARY, "threshhold"), 5), ((*CANARY, "threshold"), "five"), ((*CANARY, "webhooks", 0, "type"), "before")],
)
def test_the_schema_sees_typing_errors(path, value):
    found = copy.deepcopy(objects())
    _set(path, value)(found)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(one(found, "Canary", "inspection"), strict(SCHEMAS["Canary"]))


def test_flagger_reads_what_our_gates_export():
    bench = server.Bench(lambda: gates.standard(0.01))
    answer = {"status": 200, "label": "clean", "seconds": 0.001}
    bench.add([server._Pair.model_validate({"id": "1", "stable": answer, "canary": answer})])
    exported = {m.name: {s.labels["claim"] for s in m.samples} for m in bench.collect() if "evidence" in m.name}
    query = one(objects(), "MetricTemplate", "rollout-evidence")["spec"]["query"]
    assert set(re.findall(r"cvprod_\w+", query)) == set(exported)
    assert set(re.findall(r'claim="(\w+)"', query)) <= exported["cvprod_rollout_evidence"]


def test_the_contract_is_in_the_query():
    query = one(objects(), "MetricTemplate", "over-contract")["spec"]["query"]
    limit = contract.load_contract().p99_latency_ms.limit / 1e3
    assert [float(edge) for edge in re.findall(r'le="([\d.]+)"', query)] == [limit]


def test_the_queries_are_promql(tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (Debian: prometheus)")
    rules = []
    for o in objects():
        if o["kind"] == "MetricTemplate":
            query = o["spec"]["query"]
            for name, value in {"namespace": "inspection", "service": "inspection", "interval": "1m"}.items():
                query = query.replace(f"{{{{ {name} }}}}", value)
            rules.append({"record": "rollout:" + o["metadata"]["name"].replace("-", "_"), "expr": query})
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "rollout", "rules": rules}]}))
    (tmp_path / "test.yml").write_text(json.dumps({
        "rule_files": ["rules.yml"], "evaluation_interval": "1m",
        "tests": [
            {"interval": "1m", "input_series": [
                {"series": f'cvprod_rollout_evidence{end}{{namespace="inspection",job="inspection-rollout-gate",'
                           f'gate="{gate}",claim="worse"}}', "values": f"{value}x5"}
                for gate, worse in (("quality", "90+0"), ("latency", "6+0"))
                for end, value in (("", worse), ("_needed", "60+0"))
            ], "promql_expr_test": [{"expr": "rollout:rollout_evidence", "eval_time": "4m", "exp_samples": [
                {"labels": "rollout:rollout_evidence", "value": 1.5}]}]},
            {"interval": "1m", "input_series": [], "promql_expr_test": [
                {"expr": f"rollout:{name}", "eval_time": "4m", "exp_samples": []}
                for name in ("rollout_evidence", "over_contract", "errors")]},
        ],
    }))  # fmt: skip
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_in_twenty_by_hand():
    for kind in ("HTTPRoute", "GRPCRoute"):
        route = one(objects("weights"), kind, "inspection")
        for rule in route["spec"]["rules"]:
            assert {b["name"]: b["weight"] for b in rule["backendRefs"]} == {"inspection": 95, "inspection-canary": 5}


def test_the_gate_starts_as_the_manifest_says():
    container = one(objects(), "Deployment", "inspection-rollout-gate")["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][:4] == ["python3", "-m", "cvprod.rollout", "serve"]
    assert container["command"][-1] == str(container["ports"][0]["containerPort"])
    copied = (root() / "deploy/docker/Dockerfile").read_text()
    assert "COPY cvprod/rollout " in copied
