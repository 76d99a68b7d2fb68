"""The GPU image's recipe: the CPU image's rules, its files, and its packages but for the runtime."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cvprod.repo import root
from cvprod.serving import settings

DOCKER = root() / "deploy/docker"


def instructions(name):
    """(name, words) of every instruction, continuation lines joined."""
    text = re.sub(r"^#.*\n", "", (DOCKER / name).read_text(), flags=re.M)
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(line.split()[0], line.split(None, 1)[1]) for line in joined.splitlines() if line.strip()]


GPU, CPU = instructions("Dockerfile.gpu"), instructions("Dockerfile")


def pins(name):
    return dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", (DOCKER / name).read_text(), re.M))


def last_stage(found):
    start = max(i for i, (name, _) in enumerate(found) if name == "FROM")
    return found[start + 1 :]


def test_rules_of_the_house():
    names = [name for name, _ in GPU]
    bases = [rest.split()[0] for name, rest in GPU if name == "FROM"]
    assert names[0] == "ARG" and bases == ["${CUDA_IMAGE}", "python", "python"]
    base = GPU[0][1].partition("=")[2]
    assert re.fullmatch(r"nvidia/cuda:13\.\d+\.\d+-cudnn-runtime-ubuntu24\.04", base), "no compiler, no examples"
    assert all(int(number) >= 10_000 for number in dict(GPU)["USER"].split(":"))
    assert names.index("USER") > len(names) - 1 - names[::-1].index("RUN"), "nothing runs as root after USER"
    assert "ADD" not in names and dict(GPU)["CMD"].startswith("[")
    text = (DOCKER / "Dockerfile.gpu").read_text()
    assert "--require-hashes" in text and "latest" not in text and not re.search(r"(?i)secret|password|token", text)
    for name, rest in GPU:
        assert "apt-get install" not in rest or "rm -rf /var/lib/apt/lists/*" in rest, (name, rest)


def test_it_ends_as_the_image_for_cpus_does():
    mine, theirs = last_stage(GPU), last_stage(CPU)
    for name in ("USER", "WORKDIR", "EXPOSE", "STOPSIGNAL", "CMD"):
        assert dict(mine)[name] == dict(theirs)[name]
    command = [json.loads(dict(found)["HEALTHCHECK"].partition("CMD ")[2]) for found in (mine, theirs)]
    assert command[0] == command[1]
    settings = [set(re.findall(r"(\w+=\S+)", " ".join(r for n, r in found if n == "ENV"))) for found in (mine, theirs)]
    assert settings[0] - settings[1] == {"CUDA_CACHE_PATH=/tmp/cuda", "CVPROD_DEVICE=cuda"}
    assert not settings[1] - settings[0]


def test_the_command_in_its_header_gives_it_a_model_for_gpus():
    """The one that comes with the service is made for CPUs."""
    header = (DOCKER / "Dockerfile.gpu").read_text().partition("ARG ")[0]
    given = {f"CVPROD_{name}": value for name, value in re.findall(r"-e CVPROD_(\w+)=(\S+)", header)}
    chosen = settings.load([], given)
    assert chosen.model != settings.DEFAULT_MODEL and f":{chosen.model.parent}:ro" in header
    assert (chosen.workers, chosen.max_batch) == (1, 32)


def test_it_copies_what_the_image_for_cpus_copies_and_the_builder_gets_it():
    def copies(found):
        return {rest for name, rest in found if name == "COPY" and "requirements" not in rest}

    assert copies(GPU) == copies(CPU)
    assert (DOCKER / "requirements-gpu.txt").is_file()
    mine = (DOCKER / "Dockerfile.gpu.dockerignore").read_text()
    assert mine == (DOCKER / "Dockerfile.dockerignore").read_text().replace("requirements.txt", "requirements-gpu.txt")


def test_packages_are_those_of_the_image_for_cpus_but_for_the_runtime():
    cpu, gpu = pins("requirements.txt"), pins("requirements-gpu.txt")
    assert set(cpu) - set(gpu) == {"onnxruntime"} and set(gpu) - set(cpu) == {"onnxruntime-gpu"}
    assert {name: gpu[name] for name in gpu if name in cpu} == {name: cpu[name] for name in cpu if name in gpu}
    # The GPU package may come out some weeks after the other; the same major version reads the same models.
    assert gpu["onnxruntime-gpu"].split(".")[0] == cpu["onnxruntime"].split(".")[0]
    assert tuple(map(int, gpu["onnxruntime-gpu"].split(".")[:2])) >= (1, 27), "earlier ones were built for CUDA 12"
    given = [(DOCKER / f"requirements{kind}.in").read_text().splitlines() for kind in ("", "-gpu")]
    cpu_in, gpu_in = ([line for line in lines if line and line[0] != "#"] for lines in given)
    assert [line.removesuffix("-gpu") for line in gpu_in] == cpu_in


def test_every_package_is_there_with_its_hash_for_the_images_python(tmp_path):
    """A dry run: the registry has each file, with its hash, for Linux and Python 3.12."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists() and shutil.which("uv") is None:
        pytest.skip("needs uv")
    words = [uv if uv.exists() else "uv", "pip", "install", "--dry-run", "--quiet", "--require-hashes",
             "--only-binary=:all:", "--python", sys.executable, "--python-version", "3.12", "--python-platform",
             "x86_64-manylinux_2_39", "--target", tmp_path, "-r", DOCKER / "requirements-gpu.txt"]  # fmt: skip
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    broken = (DOCKER / "requirements-gpu.txt").read_text().replace("onnxruntime-gpu==", "onnxruntime-gpu==99.")
    (wrong := tmp_path / "wrong.txt").write_text(broken)
    done = subprocess.run([*map(str, words[:-1]), str(wrong)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
