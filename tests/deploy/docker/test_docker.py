"""The image's recipe: its rules, and that what it copies and installs is enough to serve, in an empty environment."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from cvprod.repo import root
from cvprod.traffic import hostile

DOCKER = root() / "deploy/docker"
TEXT = (DOCKER / "Dockerfile").read_text()


def instructions():
    """(name, words) of every instruction, continuation lines joined."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", TEXT, flags=re.M))
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


def test_rules_of_the_house():
    found = instructions()
    names = [name for name, _ in found]
    assert names[0] == "ARG" and [rest.split()[0] for name, rest in found if name == "FROM"] == ["${PYTHON_IMAGE}"] * 2
    assert all(int(number) >= 10_000 for number in dict(found)["USER"].split(":"))
    check = json.loads(dict(found)["HEALTHCHECK"].partition("CMD ")[2])
    compile(check[-1], "health check", "exec")
    assert "CVPROD_PORT" in check[-1]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("RUN"), "nothing runs as root after USER"
    assert "HEALTHCHECK" in names and "STOPSIGNAL" in names and "ADD" not in names
    assert dict(found)["CMD"].startswith("["), "exec form: signals reach the service, not a shell"
    assert "--require-hashes" in TEXT and "latest" not in TEXT and not re.search(r"(?i)secret|password|token", TEXT)


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_labels_say_what_it_is_and_where_it_came_from(name):
    text = (DOCKER / name).read_text()
    said = dict(re.findall(r'org\.opencontainers\.image\.(\w+)=("[^"]+"|\S+)', text))
    assert set(said) == {"title", "description", "licenses", "version", "revision", "source"}
    for label, argument in (("version", "VERSION"), ("revision", "REVISION"), ("source", "SOURCE")):
        assert said[label] == f"${{{argument}}}" and re.search(rf"^ARG .*\b{argument}=", text, re.M)
    assert text.index("LABEL") > text.rindex("RUN "), "a new commit costs no layer"


def test_ci_builds_on_the_same_base_and_fills_the_labels():
    workflow = (root() / ".github/workflows/image.yml").read_text()
    (base,) = set(re.findall(r"\bbase=(\S+)", workflow))
    assert f"ARG PYTHON_IMAGE={base}\n" in TEXT
    assert all(f"--build-arg {name}=" in workflow for name in ("PYTHON_IMAGE", "VERSION", "REVISION", "SOURCE"))


@pytest.mark.parametrize("name", ["README.md", "Dockerfile", "Dockerfile.gpu"])
def test_commands_publish_on_this_machine_alone(name):
    text = (DOCKER / name).read_text()
    published = re.findall(r"(?:-p|--publish)[ =](\S+)", text)
    assert all(port.startswith("127.0.0.1:") for port in published), published
    assert bool(published) == ("docker run" in text)


def test_packages_are_those_of_the_lock_and_no_torch():
    lock = set(re.findall(r"^([\w.-]+)==([^\s;\\]+)", (root() / "requirements.txt").read_text(), re.M))
    image = re.findall(r"^([\w.-]+)==([^\s;\\]+)", (DOCKER / "requirements.txt").read_text(), re.M)
    assert image and set(image) <= lock
    names = {name for name, _ in image}
    assert not names & {"torch", "torchvision", "scipy", "pandas", "matplotlib"}
    wanted = {line for line in (DOCKER / "requirements.in").read_text().splitlines() if line and line[0] != "#"}
    assert wanted <= names
    assert "--hash=sha256:" in (DOCKER / "requirements.txt").read_text()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """What the image would hold: an empty environment with its packages, and the copied files. (python, folder)"""
    folder = tmp_path_factory.mktemp("image")
    app = folder / "opt/app"
    for name, rest in instructions():
        if name != "COPY" or "--from" in rest or "/opt/app" not in rest:
            continue
        *given, target = shlex.split(rest)
        place = folder / target.lstrip("/")
        for source in given:
            origin = root() / source
            assert origin.exists(), f"{source} is copied and does not exist"
            if origin.is_dir():
                shutil.copytree(origin, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                end = place / origin.name if target.endswith("/") else place
                end.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, end)
    uv, python = Path(sys.executable).with_name("uv"), folder / "venv/bin/python"
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, folder / "venv"],
        [
            uv,
            "pip",
            "install",
            "--quiet",
            "--require-hashes",
            "--only-binary=:all:",
            "--python",
            python,
            "-r",
            DOCKER / "requirements.txt",
        ],
    ):
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return python, app


def test_it_serves_and_answers_by_http_and_grpc(image, tmp_path):
    python, app = image
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(app),
        "CVPROD_PORT": "0",
        "CVPROD_WORKERS": "1",
        "HOME": "/nonexistent",
    }
    process = subprocess.Popen(
        [python, "-m", "cvprod.serving"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert "Listening" in line, process.stderr.read()
        address = line.split()[-1]
        request = urllib.request.Request(
            f"{address}/v1/inspect", hostile.encode(hostile.GREY, "JPEG"), {"Content-Type": "image/jpeg"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.loads(answer.read())["label"] == "scratches"
        for path in ("/readyz", "/metrics", "/docs", "/openapi.json", "/v2"):
            with urllib.request.urlopen(address + path, timeout=20) as answer:
                assert answer.status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()
        process.stderr.close()
    code = "import cvprod.serving.api.grpc_server, cvprod.serving.process.worker, sys; "
    code += "assert not {'torch', 'scipy', 'matplotlib'} & set(sys.modules)"
    subprocess.run([python, "-c", code], env=environment, check=True)
