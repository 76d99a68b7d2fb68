"""The federation of deploy/federated: what the real SuperLink and SuperNodes train is what FedAvg by hand gives."""

import importlib.util
import os
import socket
import subprocess
import tempfile
import tomllib
from contextlib import ExitStack

import numpy as np
import pytest

from cvprod.repo import deploy_file
from cvprod.security import federated
from cvprod.stack import peers
from cvprod.stack.program import Program, free_port

APP = deploy_file("federated/pyproject.toml").parent
PLANTS = ("north", "south", "east")
ROUNDS = 2


def _module(name):
    spec = importlib.util.spec_from_file_location(name, APP / "steel_federation" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


head = _module("head")


def _tiles(plant):
    """A plant's features: clouds of three of seven classes, of a number of its own."""
    rng = np.random.default_rng(plant)
    centres = np.random.default_rng(100).normal(0, 1.5, (7, 24))
    y = np.repeat([0, 2 * plant + 1, 2 * plant + 2], 30 + 10 * plant)
    return (centres[y] + rng.normal(0, 1, (len(y), 24))).astype(np.float32), y


def test_the_head_learns_and_leaves_what_it_was_given():
    x, y = _tiles(0)
    start = head.zeros(24, 7)
    learnt = head.train(start, x, y, epochs=5, lr=0.1, seed=1)
    assert not start[0].any() and learnt[0].dtype == np.float32
    assert head.accuracy(learnt, x, y) > 0.9 > head.accuracy(start, x, y)


def test_the_app_names_its_components_and_the_lock_has_its_flower():
    settings = tomllib.loads((APP / "pyproject.toml").read_text())
    for component in settings["tool"]["flwr"]["app"]["components"].values():
        module = component.split(":")[0].replace(".", "/")
        assert (APP / f"{module}.py").is_file()
    locked = (peers.HERE / "flower.txt").read_text()
    assert settings["project"]["dependencies"][0] in locked
    assert settings["tool"]["flwr"]["app"]["config"]["plants"] == len(PLANTS)


def _listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


@pytest.mark.skipif(not os.environ.get("CVPROD_SLOW"), reason="takes minutes; CVPROD_SLOW=1 runs it")
@pytest.mark.timeout(1200)
def test_real_supernodes_train_what_fedavg_by_hand_does(tmp_path):
    tools = peers.environment("flower").parent
    env = {"FLWR_HOME": str(tmp_path / "home"), "FLWR_TELEMETRY_ENABLED": "0", "PATH": f"{tools}:{os.environ['PATH']}"}
    port = free_port()
    (tmp_path / "home").mkdir()
    (tmp_path / "home/config.toml").write_text(
        f'[superlink]\ndefault = "plants"\n[superlink.plants]\naddress = "127.0.0.1:{port}"\ninsecure = true\n'
    )
    with ExitStack() as running:
        link = [tools / "flower-superlink", "--insecure", "--port", port, "--disable-runtime-dependency-installation"]
        running.enter_context(Program("superlink", link, lambda: _listens(port), env=env, patience=180))
        for number, plant in enumerate(PLANTS):
            x, y = _tiles(number)
            np.savez(tmp_path / f"{plant}.npz", x=x, y=y)
            own = free_port()
            node = [tools / "flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}", "--port", own]
            node += ["--node-config", f"data='{tmp_path}/{plant}.npz'"]
            running.enter_context(Program(plant, node, lambda own=own: _listens(own), env=env, patience=180))
        settings = f"rounds={ROUNDS} result='{tmp_path}/head.npz'"
        done = subprocess.run(
            [tools / "flwr", "run", APP, "plants", "-c", settings, "--stream"],
            env=os.environ | env, cwd=tempfile.mkdtemp(dir=tmp_path), capture_output=True, text=True, timeout=900,
        )  # fmt: skip
    assert (tmp_path / "head.npz").is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    shared = head.zeros(24, 7)
    for number in range(1, ROUNDS + 1):
        results = []
        for plant in range(len(PLANTS)):
            x, y = _tiles(plant)
            results.append((head.train(shared, x, y, epochs=1, lr=0.1, seed=number), len(y)))
        shared = federated.average(results)
    with np.load(tmp_path / "head.npz") as found:
        assert np.allclose(found["weight"], shared[0], atol=1e-5)
        assert np.allclose(found["bias"], shared[1], atol=1e-5)
    everything = [np.concatenate(parts) for parts in zip(*map(_tiles, range(3)), strict=True)]
    assert head.accuracy(shared, *everything) > 0.9
