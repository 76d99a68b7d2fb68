"""The stacks for Google and Azure, and the AWS one under the next major version, against the providers' schemas.

Checked against the schema, not against a cloud: the real terraform validates, applies, plans again and destroys, with a
provider that has the real one's schema and keeps what is made in a dictionary (schema_provider.py). That finds wrong
names, types, nesting and references, missing arguments and values that are on no list; a cloud would find more.
"""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from cvprod import contract

from . import extract, stacks
from .schema_provider import VALUES, Serving

#: Seconds each on a quiet machine; terraform starts for every fault.
pytestmark = pytest.mark.timeout(1800)
LIMITS = contract.load_contract()
STACKS = {"google": "gcp", "azurerm": "azure"}
#: Resource -> how many of it, for what must not be forgotten; the rest is counted as a whole.
PROMISED = {
    "google": {
        "google_artifact_registry_repository": 1,
        "google_billing_budget": 1,
        "google_cloud_run_v2_service": 1,
        "google_compute_global_forwarding_rule": 1,
        "google_compute_security_policy": 1,
        "google_monitoring_alert_policy": 5,
        "google_secret_manager_secret": 1,
        "google_service_account": 2,
        "google_storage_bucket": 2,
    },
    "azurerm": {
        "azurerm_consumption_budget_resource_group": 1,
        "azurerm_container_app": 1,
        "azurerm_container_app_custom_domain": 1,
        "azurerm_container_registry": 1,
        "azurerm_key_vault_secret": 1,
        "azurerm_monitor_metric_alert": 3,
        "azurerm_monitor_scheduled_query_rules_alert_v2": 2,
        "azurerm_storage_account": 1,
        "azurerm_user_assigned_identity": 2,
    },
}


@pytest.fixture(scope="module", params=STACKS)
def life(request, tmp_path_factory):
    """The whole life of a stack: (provider's name, what was seen on the way)."""
    with Serving(request.param) as serving:
        stack = stacks.Stack(STACKS[request.param], tmp_path_factory.mktemp(request.param), serving.env)
        stack.init()
        stack.must("apply", "-auto-approve")
        there = dict(serving.provider.there)
        seen = {"there": there, "outputs": stack.outputs(), "again": stack.run("plan", "-detailed-exitcode")}
        seen["state"] = (stack.folder / "terraform.tfstate").read_text()
        stack.must("destroy", "-auto-approve")
        return request.param, seen | {"left": serving.provider.there}


def of(seen, kind):
    """States of what there is of a resource."""
    return [state for (name, _), state in seen["there"].items() if name == kind]


def test_apply_makes_what_is_promised_and_destroy_takes_all_of_it_away(life):
    name, seen = life
    assert {kind: len(of(seen, kind)) for kind in PROMISED[name]} == PROMISED[name]
    assert seen["left"] == {}


def test_a_second_plan_changes_nothing(life):
    _, seen = life
    assert seen["again"].returncode == 0, seen["again"].stdout[-3000:]


def test_no_state_holds_a_secret(life):
    _, seen = life
    assert "no key yet" not in seen["state"]


def test_outputs_are_there(life):
    _, seen = life
    assert all(seen["outputs"].values())
    assert seen["outputs"]["url"] == f"https://{stacks.VALUES['domain_name']}"


def test_alarms_hold_the_contract(life):
    name, seen = life
    if name == "google":
        found = {
            state["display_name"]: state["conditions"][0]["condition_threshold"][0]["threshold_value"]
            for state in of(seen, "google_monitoring_alert_policy")
        }
        memory = found["inspection-memory"] * 2 * 2**30
        per_second = found["inspection-traffic"]
    else:
        metrics = of(seen, "azurerm_monitor_metric_alert")
        queries = of(seen, "azurerm_monitor_scheduled_query_rules_alert_v2")
        found = {state["name"]: state["criteria"][0]["threshold"] for state in metrics + queries}
        memory, per_second = found["inspection-memory"], found["inspection-traffic"] / 300
    assert set(found) == set(seen["outputs"]["alarms"])
    assert found["inspection-latency"] == LIMITS.p99_latency_ms.limit
    assert per_second == LIMITS.tiles_per_s.limit
    assert memory == pytest.approx(LIMITS.memory_mb.limit * 1e6)
    assert found["inspection-instances"] == 2


def test_a_change_of_the_contract_reaches_the_alarms(tmp_path):
    with Serving("google") as serving:
        stack = stacks.Stack("gcp", tmp_path, serving.env)
        given = yaml.safe_load((tmp_path / "deploy/contract.yaml").read_text())
        given["p99_latency_ms"]["limit"] = 7.5
        (tmp_path / "other.yaml").write_text(yaml.safe_dump(given))
        stack.init()
        said = stack.must("plan", "-var", f"contract_file={tmp_path / 'other.yaml'}")
    assert re.search(r"threshold_value\s+= 7.5\n", said) and "within 7.5 ms" in said
    assert re.search(r'"CVPROD_LATENCY_BUDGET_MS"\n\s+\+ value = "7.5"', said)


@pytest.mark.parametrize("name", extract.PACKAGES)
def test_the_stack_is_valid(name, tmp_path):
    """For AWS this is version 6 of the provider; the tests on moto run with the one that lies here, or the newest."""
    with Serving(name) as serving:
        stack = stacks.Stack(extract.PACKAGES[name][0], tmp_path, serving.env)
        stack.init()
        assert "valid" in stack.must("validate")


@pytest.mark.parametrize("name", extract.PACKAGES)
def test_the_stack_pins_the_major_version_whose_schema_is_kept(name):
    kept = json.loads((extract.SCHEMAS / f"{name}.json").read_text())
    text = (stacks.TERRAFORM / extract.PACKAGES[name][0] / "versions.tf").read_text()
    bounds = re.search(r'^ +version = "([^"]+)"', text, re.M)[1]
    major, minor = map(int, kept["version"].split(".")[:2])
    assert kept["licence"] == "MPL-2.0" and extract.PACKAGES[name][1] in kept["about"]
    if name == "aws":
        assert bounds == ">= 5.100, < 7" and major == 6
    else:
        assert bounds == f"~> {major}.{minor}"


@pytest.mark.parametrize("name", extract.PACKAGES)
def test_the_schema_has_what_the_stack_uses_and_nothing_else(name):
    kept = json.loads((extract.SCHEMAS / f"{name}.json").read_text())
    found = set(kept["resources"]) | {f"data.{key}" for key in kept["data_sources"]}
    assert found == extract.used(stacks.TERRAFORM / extract.PACKAGES[name][0])


@pytest.mark.parametrize("name", extract.PACKAGES)
def test_the_schema_is_what_the_package_says(name):
    """Slow, and 180 MB to fetch: on demand."""
    if not os.environ.get("CVPROD_PROVIDER_PACKAGES"):
        pytest.skip("CVPROD_PROVIDER_PACKAGES=1 fetches the providers' packages (180 MB) and extracts again")
    kept = (extract.SCHEMAS / f"{name}.json").read_text()
    assert extract.extracted(name, stacks.ROOT / "_build" / "cdktn") == kept


def test_lists_of_values_name_arguments_that_exist():
    schemas = [json.loads((extract.SCHEMAS / f"{name}.json").read_text()) for name in STACKS]
    known = {kind: block for schema in schemas for kind, block in schema["resources"].items()}

    def check(rules, block, path):
        for name, rule in rules.items():
            assert name in block["attributes"] or name in block["blocks"], f"{path}.{name}"
            if name in block["blocks"]:
                check(rule, block["blocks"][name][3], f"{path}.{name}")
            else:
                assert isinstance(rule, list) and rule, f"{path}.{name}"

    assert VALUES
    for kind, rules in VALUES.items():
        check(rules, known[kind], kind)


# --- Planted faults ---

FAULTS = yaml.safe_load((stacks.HERE / "faults.yaml").read_text())


@pytest.fixture(scope="module")
def served():
    """The providers, all at once."""
    with Serving("google") as google, Serving("azurerm") as azurerm, Serving("aws") as aws:
        yield {"google": google, "azurerm": azurerm, "aws": aws}


@pytest.mark.parametrize(("name", "fault"), [(name, fault) for name, faults in FAULTS.items() for fault in faults])
def test_a_planted_fault_is_found(name, fault, served, tmp_path):
    planted = FAULTS[name][fault]
    stack = stacks.Stack(extract.PACKAGES[name][0], tmp_path, served[name].env)
    path = Path(stack.folder, planted["file"])
    before = path.read_text()
    pattern = planted.get("pattern") or re.escape(planted["old"])
    after = re.sub(pattern, lambda _: planted["new"], before, count=1, flags=re.S)
    assert after != before, "the fault was not planted"
    path.write_text(after)
    stack.init()
    done = stack.run("validate")
    if not done.returncode:  # a value that only a plan knows
        done = stack.run("plan")
    assert done.returncode and planted["told"] in " ".join(done.stderr.replace("│", " ").split()), done.stderr
