"""The house holds together: one address, one lock, workflows that validate, a Makefile that says what it offers."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from cvprod.book.notebooks import HARDWARE_TAGS
from cvprod.repo import ROOT, repository

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
LOCKED = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (ROOT / "requirements.txt").read_text(), re.M))


def _tool(*words):
    return subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_declared_dependency_is_locked():
    extras = PROJECT["project"]["optional-dependencies"].values()
    declared = PROJECT["project"]["dependencies"] + [line for extra in extras for line in extra]
    names = {re.split(r"[\[<>=! ;]", line)[0] for line in declared} - {"cvprod"}
    assert names and not {name for name in names if name not in LOCKED}


def test_jupyter_book_is_the_one_that_reads_our_toc():
    assert LOCKED["jupyter-book"].startswith("1.")


def test_the_lock_names_no_index_and_no_file():
    assert not re.search(r"https?://|--index|file:", (ROOT / "requirements.txt").read_text())


@pytest.mark.parametrize("name", ["README.md", "CITATION.cff", "_config.yml", "CONTRIBUTING.md"])
def test_addresses_of_the_project_agree(name):
    text = (ROOT / name).read_text()
    owner, project = repository().removeprefix("https://github.com/").split("/")
    mentions = re.findall(rf"github\.com/([\w-]+)/({re.escape(project)})\b", text)
    assert all(found == (owner, project) for found in mentions)
    assert mentions or name == "CONTRIBUTING.md"


def test_workflows_are_valid_and_ask_for_little():
    done = _tool("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))
    assert done.returncode == 0, done.stdout + done.stderr
    for path in WORKFLOWS:
        assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}, path.name


def test_workflows_run_the_commands_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {target for path in WORKFLOWS for target in re.findall(r"\bmake ([a-z-]+)", path.read_text())}
    assert used and used <= targets


def test_hardware_workflow_offers_every_tag():
    offered = yaml.safe_load((ROOT / ".github/workflows/hardware.yml").read_text())[True]["workflow_dispatch"]
    assert set(offered["inputs"]["tag"]["options"]) == HARDWARE_TAGS


def test_contributing_names_every_hardware_tag():
    (listed,) = re.findall(r"hardware\*\* carry its tag \((.*?)\)", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    assert set(re.findall(r"`(\w+)`", listed)) == HARDWARE_TAGS


def test_make_help_lists_the_promised_targets():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"book", "test", "lint", "serve-book", "refresh-lock", "hardware", "clean", "help"} <= listed


#: What a run of the tests may have been given, and would hand on to the make that is looked at.
KEPT_OUT = ("CVPROD_CLAIMS", "MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "PYTEST_ARGS", "CHAPTER")


@pytest.mark.parametrize(
    ("words", "claims", "runs"),
    [
        (["book"], "", "-m cvprod.book.build$"),
        (["book", "CHAPTER=05"], "", "-m cvprod.book.build --chapter 05$"),
        (["test"], "strict", "-n auto .* notebooks tests$"),
        (["test", "CHAPTER=5"], "strict", "-n0 .* notebooks/05_x.ipynb$"),
        (["test", "CHAPTER=77"], "strict", None),
    ],
)
def test_make_runs_one_chapter_or_all_and_tests_are_strict(tmp_path, words, claims, runs):
    """Make with a Python that says what it was asked, in place of the environment's."""
    says = f"""#!/bin/sh
echo "claims=$CVPROD_CLAIMS $*" >> {tmp_path}/asked
case "$*" in *"find 77") echo none >&2; exit 1;; *find*) echo notebooks/05_x.ipynb;; esac
"""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(says)
    (tmp_path / "bin/python").chmod(0o755)
    (tmp_path / ".ready").touch()
    command = ["make", *words, f"VENV={tmp_path}", "--assume-old", f"{tmp_path}/.ready"]
    environment = {key: value for key, value in os.environ.items() if key not in KEPT_OUT}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert (done.returncode == 0) == (runs is not None), done.stdout + done.stderr
    assert all(line.startswith(f"claims={claims} ") for line in asked)
    assert re.search(runs, asked[-1]) if runs else "pytest" not in " ".join(asked)


def test_hardware_target_wants_a_tag():
    done = subprocess.run(["make", "hardware"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode and "make hardware TAG=gpu" in done.stdout


@pytest.mark.parametrize("words", [("format", "--check", "."), ("check", ".")], ids=["format", "lint"])
def test_code_and_notebooks_are_formatted_and_clean(words):
    done = _tool("ruff", *words)
    assert done.returncode == 0, done.stdout[-3000:]


def test_toc_lists_only_files_that_exist():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    entries = [toc["root"]]
    for part in toc["parts"]:
        for chapter in part["chapters"]:
            entries += [chapter["file"]] + [section["file"] for section in chapter.get("sections", [])]
    missing = [
        entry for entry in entries if not any((ROOT / f"{entry}{end}").exists() for end in ("", ".md", ".ipynb"))
    ]
    assert len(entries) > 5 and not missing


def test_ci_only_calls_make_test():
    script = (ROOT / ".ci/run").read_text()
    assert script.rstrip().endswith("exec make test")


def test_no_committed_file_carries_a_machine_path():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    text_files = (".ipynb", ".py", ".md", ".yml", ".yaml", ".toml", ".txt", ".json", ".cff")
    leaking = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if name.endswith(text_files) and path.is_file() and re.search(rf"{re.escape(str(ROOT))}/\w", path.read_text()):
            leaking.append(name)
    assert not leaking
