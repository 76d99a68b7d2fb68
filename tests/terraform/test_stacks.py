"""What the three stacks have in common: interface, style, their own `terraform test`, their scanner."""

import json
import os
import re
import shutil
import subprocess

import hcl2
import pytest

from cvprod.serving import settings

from . import extract, stacks
from .schema_provider import Serving

#: Seconds on a quiet machine; where others compute as well, checkov alone may take minutes.
pytestmark = pytest.mark.timeout(1800)
PROVIDERS = {stack: name for name, (stack, _) in extract.PACKAGES.items()}
#: Variables whose default is a matter of the cloud.
OWN_DEFAULTS = {"account", "region"}


def parsed(cloud: str, file: str) -> dict:
    """A file of a stack, by python-hcl2."""
    return hcl2.loads((stacks.TERRAFORM / cloud / file).read_text())


def named(blocks: list[dict]) -> dict:
    """name -> body of blocks with one label."""
    return {name.strip('"'): body for block in blocks for name, body in block.items()}


def test_variables_are_the_same_in_all_clouds():
    found = {cloud: named(parsed(cloud, "variables.tf")["variable"]) for cloud in stacks.CLOUDS}
    assert len(found["aws"]) > 15
    for cloud in stacks.CLOUDS:
        assert list(found[cloud]) == list(found["aws"]), "names, or their order"
        for name, body in found[cloud].items():
            reference = found["aws"][name]
            assert body["type"] == reference["type"], name
            assert body.get("validation") == reference.get("validation"), name
            assert body["description"], name
            if name not in OWN_DEFAULTS:
                assert body.get("default", "none") == reference.get("default", "none"), name


def test_outputs_are_the_same_in_all_clouds():
    found = {cloud: named(parsed(cloud, "outputs.tf")["output"]) for cloud in stacks.CLOUDS}
    assert len(found["aws"]) > 8
    for cloud in stacks.CLOUDS:
        assert list(found[cloud]) == list(found["aws"])
        assert all(body["description"] and body["value"] for body in found[cloud].values())


@pytest.mark.parametrize("cloud", stacks.CLOUDS)
def test_the_service_is_set_up_in_the_same_way_and_by_names_that_it_knows(cloud):
    text = (stacks.TERRAFORM / cloud / "main.tf").read_text()
    names = re.findall(r"^ +CVPROD_(\w+) +=", text, re.M)
    assert (
        names == re.findall(r"^ +CVPROD_(\w+) +=", (stacks.TERRAFORM / "aws/main.tf").read_text(), re.M)
        and len(names) > 5
    )
    assert {name.lower() for name in names} <= set(settings.Settings.model_fields)


@pytest.mark.parametrize("cloud", stacks.CLOUDS)
def test_the_example_of_values_has_every_variable_without_a_default(cloud):
    needed = {name for name, body in named(parsed(cloud, "variables.tf")["variable"]).items() if "default" not in body}
    given = set(hcl2.loads((stacks.TERRAFORM / cloud / "terraform.tfvars.example").read_text()))
    assert needed <= {name for name in given if not name.startswith("__")}
    assert needed <= {*stacks.VALUES, "account"}, "stacks.VALUES lacks one"


def test_no_secret_and_no_account_is_written_down():
    for path in stacks.TERRAFORM.rglob("*.tf"):
        text = path.read_text()
        assert not re.search(r"AKIA[0-9A-Z]{16}|-----BEGIN|password *= *\"|\b\d{12}\b", text), path


def test_files_are_formatted():
    done = subprocess.run(
        [stacks.program(), "fmt", "-check", "-recursive", "-diff", str(stacks.TERRAFORM)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CLI_CONFIG_FILE": os.devnull},
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("cloud", stacks.CLOUDS)
def test_the_stack_passes_its_own_tests(cloud, tmp_path):
    """`terraform test` with mock_provider: AWS with the real provider, the others with the real one's schema."""
    if cloud == "aws":
        stack = stacks.Stack(cloud, tmp_path)
        stack.init()
        said = stack.must("test")
    else:
        with Serving(PROVIDERS[cloud]) as serving:
            stack = stacks.Stack(cloud, tmp_path, serving.env)
            stack.init()
            said = stack.must("test")
    assert re.search(r"Success! 6 passed, 0 failed", said), said


@pytest.mark.parametrize(
    ("cloud", "file", "old", "new", "told"),
    [
        ("aws", "main.tf", "local.balancer_idle_seconds + 15", "local.balancer_idle_seconds - 30", "close idle"),
        ("gcp", "main.tf", "drain_seconds       = 8", "drain_seconds       = 20", "time to drain"),
        ("azure", "registry.tf", "= false", "= true", "without a name"),
    ],
)
def test_its_own_tests_find_a_planted_fault(cloud, file, old, new, told, tmp_path):
    with Serving(PROVIDERS[cloud]) as serving:
        stack = stacks.Stack(cloud, tmp_path, serving.env)
        path = stack.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        stack.init()
        done = stack.run("test")
    assert done.returncode and told in " ".join((done.stdout + done.stderr).split()), done.stdout


# --- checkov, in an environment of its own ---


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """One run over all stacks and a spoilt part of one: folder -> kind -> list of (check, resource, reason)."""
    folder = tmp_path_factory.mktemp("checkov")
    for cloud in stacks.CLOUDS:
        shutil.copytree(stacks.TERRAFORM / cloud, folder / cloud, ignore=shutil.ignore_patterns(".terraform*", "tests"))
    (folder / "spoilt").mkdir()
    text = (stacks.TERRAFORM / "aws/storage.tf").read_text()
    (folder / "spoilt/storage.tf").write_text(text.replace("= true", "= false").replace("aws:kms", "none"))
    done = subprocess.run(
        [
            *(stacks.environment("checkov").with_name("checkov"), "--directory", folder, "--framework", "terraform"),
            *("--output", "json", "--skip-download"),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "BC_SKIP_MAPPING": "TRUE"},
        check=False,
    )
    kinds = ("failed_checks", "passed_checks", "skipped_checks")
    found = {name: {kind: [] for kind in kinds} for name in (*stacks.CLOUDS, "spoilt")}
    results = json.loads(done.stdout)["results"]
    for kind in kinds:
        for check in results[kind]:
            reason = check["check_result"].get("suppress_comment")
            found[check["file_path"].split("/")[1]][kind].append((check["check_id"], check["resource"], reason))
    return found


@pytest.mark.parametrize("cloud", stacks.CLOUDS)
def test_checkov_finds_nothing_but_what_is_explained(cloud, scanned):
    assert scanned[cloud]["failed_checks"] == []
    assert len(scanned[cloud]["passed_checks"]) > 20
    written = set()
    for path in (stacks.TERRAFORM / cloud).glob("*.tf"):
        written |= set(re.findall(r"checkov:skip=(\w+):", path.read_text()))
    assert {check for check, _, _ in scanned[cloud]["skipped_checks"]} == written, "a skip that nothing needs"
    assert all(reason and len(reason) > 30 for _, _, reason in scanned[cloud]["skipped_checks"])


def test_checkov_sees_what_is_spoilt(scanned):
    failed = {check for check, _, _ in scanned["spoilt"]["failed_checks"]}
    assert {"CKV_AWS_53", "CKV_AWS_54", "CKV_AWS_55", "CKV_AWS_56"} & failed
