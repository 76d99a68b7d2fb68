"""What the tests of terraform/ share: the real terraform, a copy of a stack to run it in, and environments of tools."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cvprod.repo import ROOT
from cvprod.stack import peers

HERE = Path(__file__).parent
TERRAFORM = ROOT / "terraform"
CLOUDS = ("aws", "gcp", "azure")
#: Where terraform itself looks for providers that lie on the machine, and where people put them.
PLUGINS = (
    os.environ.get("TF_PLUGIN_CACHE_DIR", ""),
    "~/.terraform.d/plugins",
    "~/.local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
    "/opt/*",
)
#: Values for the variables without a default; the same for all clouds but the account.
VALUES = {
    "image": "registry.example.com/inspection@sha256:" + "0" * 64,
    "domain_name": "inspection.example.com",
    "allowed_cidrs": ["203.0.113.0/24", "198.51.100.7/32"],
    "alert_email": "line3@example.com",
    "labels": {"cost-centre": "4711"},
}
ACCOUNTS = {"aws": "123456789012", "gcp": "plant-inspection", "azure": "00000000-0000-0000-0000-000000000000"}


def program() -> str:
    """The terraform on the PATH, or the test is skipped."""
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("terraform is not on the PATH")
    version = json.loads(subprocess.run([found, "version", "-json"], capture_output=True, check=True).stdout)
    if tuple(map(int, version["terraform_version"].split("-")[0].split("."))) < (1, 11, 0):
        pytest.skip(f"the stacks need terraform 1.11, this is {version['terraform_version']}")
    return found


def plugins() -> Path | None:
    """A folder with an AWS provider in it, or None."""
    for pattern in filter(None, PLUGINS):
        place = Path(pattern).expanduser()
        for folder in place.parent.glob(place.name):
            if any(folder.glob("registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws*")):
                return folder
    return None


class Stack:
    """A copy of one cloud's stack, beside a copy of the contract as in the repository, for the real terraform.

    folder: where the copy goes. env: variables of the environment beside a bare one (no credentials of the developer).
    """

    def __init__(self, cloud: str, folder: Path, env: dict[str, str] | None = None) -> None:
        self.cloud, self.folder, self.terraform = cloud, folder / "terraform" / cloud, program()
        ignore = shutil.ignore_patterns(".terraform*", "*.tfstate*", "terraform.tfvars")
        shutil.copytree(TERRAFORM / cloud, self.folder, ignore=ignore)
        (folder / "deploy").mkdir()
        shutil.copy(ROOT / "deploy/contract.yaml", folder / "deploy")
        (self.folder / "given.auto.tfvars.json").write_text(json.dumps(VALUES | {"account": ACCOUNTS[cloud]}))
        (folder / "cli.tfrc").write_text("")
        clean = {name: value for name, value in os.environ.items() if not re.match("TF_|AWS_|GOOGLE_|ARM_", name)}
        self.env = clean | {
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(folder / "cli.tfrc"),
            "TF_IN_AUTOMATION": "1",
            "TF_INPUT": "0",
            **(env or {}),
        }

    def run(self, *words: str, timeout: float = 900) -> subprocess.CompletedProcess:
        """What `terraform WORDS` says, and its exit code."""
        return subprocess.run(
            [self.terraform, *words, *(() if words[0] == "output" else ("-no-color",))],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def must(self, *words: str, codes: tuple[int, ...] = (0,)) -> str:
        """The same, for what has to succeed."""
        done = self.run(*words)
        assert done.returncode in codes, f"terraform {' '.join(words)}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def init(self) -> None:
        """`terraform init` with the provider that lies here, or with the registry's, or the test is skipped."""
        folder = plugins()
        done = self.run("init", *(() if folder is None else (f"-plugin-dir={folder}",)), timeout=300)
        if done.returncode and folder is None:
            pytest.skip(f"no AWS provider on this machine, and the registry gives none: {done.stderr.strip()[-200:]}")
        assert done.returncode == 0, done.stderr

    def outputs(self) -> dict:
        """The outputs of what was applied."""
        return {name: out["value"] for name, out in json.loads(self.must("output", "-json")).items()}


def environment(name: str) -> Path:
    """The Python of a tool's own environment (NAME.txt), or the test is skipped."""
    try:
        return peers.environment(name, HERE)
    except RuntimeError as error:
        pytest.skip(str(error))
