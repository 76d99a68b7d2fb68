"""The image itself, built from its recipe by buildah and started. It takes minutes and a base image, so it is done
where CVPROD_TEST_BASE names one that buildah holds; deploy/docker/README.md says how to make one without a registry."""

import json
import os
import shutil
import subprocess
import urllib.request

import psutil
import pytest

from cvprod.repo import root
from cvprod.stack.program import free_port, until
from cvprod.traffic import hostile

BASE = os.environ.get("CVPROD_TEST_BASE", "")
NAME = "localhost/cvprod-test-image"
LABELS = {"VERSION": "1.2.3", "REVISION": "abc", "SOURCE": "https://example.com/inspection"}


def buildah(*words, **options):
    command = ["buildah", "--storage-driver", "vfs", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


pytestmark = [
    pytest.mark.skipif(shutil.which("buildah") is None, reason="needs buildah (Debian package buildah)"),
    pytest.mark.skipif(not BASE, reason="needs a base image: CVPROD_TEST_BASE, see deploy/docker/README.md"),
]


@pytest.fixture(scope="module")
def container():
    """A container of the image, not started, and its name; both go at the end."""
    arguments = [word for name, value in LABELS.items() for word in ("--build-arg", f"{name}={value}")]
    done = buildah(
        "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--format", "docker",
        "--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", "--build-arg", f"PYTHON_IMAGE={BASE}", *arguments,
        "--file", "deploy/docker/Dockerfile", "--tag", NAME, ".", cwd=root(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    name = buildah("from", "--pull-never", NAME).stdout.strip()
    yield name
    buildah("rm", name)
    buildah("rmi", NAME)


def test_the_image_says_what_it_is_and_runs_as_nobody(container):
    image = json.loads(buildah("inspect", "--type", "image", NAME).stdout)["Docker"]["config"]
    said = {name.rpartition(".")[2]: value for name, value in image["Labels"].items() if "opencontainers" in name}
    assert {key: said[key.lower()] for key in LABELS} == LABELS and said["title"] and said["licenses"] == "MIT"
    assert image["User"] == "10001:10001" and image["StopSignal"] == "SIGTERM" and image["Healthcheck"]
    assert set(image["ExposedPorts"]) == {"8000/tcp", "8001/tcp"}
    who = buildah("run", "--isolation", "chroot", container, "--", "sh", "-c", "id -u; touch /opt/app/x /x")
    assert who.stdout.strip() == "10001" and who.returncode != 0, "it can write to its own files"


def test_the_image_serves_says_that_it_is_well_and_drains(container):
    port = free_port()
    given = {"CVPROD_HOST": "127.0.0.1", "CVPROD_PORT": port, "CVPROD_GRPC_PORT": 0, "CVPROD_DRAIN_DELAY": 0}
    environment = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
    command = ["buildah", "--storage-driver", "vfs", "run", "--isolation", "chroot", "--network", "host", *environment]
    inside = [*command, container, "--"]
    config = json.loads(buildah("inspect", "--type", "image", NAME).stdout)["Docker"]["config"]
    process = subprocess.Popen([*inside, *config["Cmd"]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = f"http://127.0.0.1:{port}"

        def ready():
            try:
                return urllib.request.urlopen(f"{address}/readyz", timeout=5).status == 200
            except OSError:
                return False

        assert until(lambda: process.poll() is not None or ready(), 180) and process.poll() is None
        picture = hostile.encode(hostile.GREY, "JPEG")
        request = urllib.request.Request(f"{address}/v1/inspect", picture, {"Content-Type": "image/jpeg"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert json.loads(answer.read())["label"] == "scratches"
        check = config["Healthcheck"]["Test"]
        assert check[0] == "CMD" and subprocess.run([*inside, *check[1:]], check=False).returncode == 0
        inner = psutil.Process(process.pid).children(recursive=True)
        (service,) = [child for child in inner if child.cmdline()[1:] == config["Cmd"][1:]]
        assert service.uids().real == 10001
        service.terminate()
        assert process.wait(60) == 0
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
