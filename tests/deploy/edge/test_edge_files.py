"""Units, scripts and containers of deploy/edge, held by the tools that will read them."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from cvprod.repo import root

EDGE = root() / "deploy" / "edge"
SCRIPTS = sorted(EDGE.rglob("*.sh"))
UNITS = sorted((EDGE / "raspberrypi").glob("*.service"))
KEY = "A" * 43 + "="


def run(*command, **environment):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_parse_are_strict_and_helpful(script):
    assert run("bash", "-n", script).returncode == 0
    assert "set -euo pipefail" in script.read_text() and os.access(script, os.X_OK)
    shown = run("bash", script, "--help")
    assert shown.returncode == 0 and script.name.split(".")[0] in shown.stdout
    wrong = run("bash", script, "--no-such-option")
    assert wrong.returncode == 2 and "unknown option --no-such-option" in wrong.stderr


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck (apt-get install shellcheck)")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_pass_shellcheck(script):
    found = run("shellcheck", script)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "--channel is missing"),
        (("--channel", "https://x"), "--key is missing"),
        (("--channel", "https://x", "--key", "short"), "not a public key"),
        (("--channel", "https://x", "--key", KEY, "--threads", "many"), "--threads"),
        (("--channel", "https://x", "--key", KEY, "--name", "a b"), "--name"),
        (("--channel",), "needs a value"),
    ],
)
def test_installer_refuses_what_is_wrong_before_touching_anything(arguments, why):
    done = run("bash", EDGE / "raspberrypi" / "install.sh", *arguments)
    assert done.returncode == 2 and why in done.stderr


def test_installer_dry_run_names_every_step_and_no_torch():
    script = EDGE / "raspberrypi" / "install.sh"
    done = run("bash", script, "--channel", "https://x", "--key", KEY, "--source", "/srv/frames", "--dry-run")
    assert done.returncode == 0, done.stderr
    for what in (
        "useradd",
        "ai-edge-litert",
        "--no-deps",
        "cvprod-edge.service",
        "SOURCE=/srv/frames",
        "systemctl enable",
    ):
        assert what in done.stdout
    assert "torch" not in done.stdout and "picamera2" not in done.stdout


@pytest.mark.parametrize("unit", UNITS, ids=lambda p: p.name)
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (apt-get install systemd)")
def test_units_are_valid_and_hardened(unit, tmp_path):
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/cvprod-edge/venv/bin/python", "/bin/true"))
    verified = run("systemd-analyze", "verify", copy)
    ours = [line for line in verified.stderr.splitlines() if unit.name in line]
    assert ours == []
    judged = run("systemd-analyze", "security", "--offline=true", "--threshold=20", copy)
    assert judged.returncode == 0, judged.stdout[-300:]


def test_the_loop_restarts_and_is_watched():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(EDGE / "raspberrypi" / "cvprod-edge.service")
    service = parser["Service"]
    assert service["Type"] == "notify" and service["Restart"] == "always" and int(service["WatchdogSec"]) <= 60
    assert parser["Unit"]["StartLimitIntervalSec"] == "0" and "StartLimitBurst" not in parser["Unit"]  # never gives up
    assert int(service["RestartSec"]) >= 5  # a missing camera is asked for, but not all the time
    words = service["ExecStart"].split()
    from cvprod.edge.cli import _parser

    assert _parser().parse_args(words[words.index("cvprod.edge") + 1 : -3]).command == "run"
    assert {w for w in words if w.startswith("--")} == {"--source", "--model-dir", "--threads"}


def test_every_command_in_the_readmes_exists():
    from cvprod.edge.cli import _parser

    known = next(iter(_parser()._subparsers._group_actions)).choices
    for page in [*EDGE.rglob("README.md"), root() / "deploy/mobile/vectors/README.md"]:
        for command in re.findall(r"-m cvprod\.edge (\w+)", page.read_text()):
            assert command in known, (page, command)


def test_jetson_engine_command_depends_on_the_tensorrt_version(tmp_path):
    script, model = EDGE / "jetson" / "build_engine.sh", tmp_path / "m.onnx"
    model.write_bytes(b"x")
    ten = run("bash", script, model, "e.plan", "--dry-run", TENSORRT_MAJOR="10")
    eleven = run("bash", script, model, "e.plan", "--max-batch", "4", "--dry-run", TENSORRT_MAJOR="11")
    assert ten.returncode == eleven.returncode == 0
    assert "--stronglyTyped" in ten.stdout and "--stronglyTyped" not in eleven.stdout
    assert "--maxShapes=tiles:4x1x96x96" in eleven.stdout
    assert "--noTF32" in ten.stdout.split() and "--noTF32" in eleven.stdout.split()  # float32 means float32
    assert "no such file" in run("bash", script, "none.onnx", "e.plan").stderr
    from cvprod.runtimes import onnxruntime as ours

    assert f"{ours.INPUT_NAME}:1x1x96x96" in ten.stdout


def test_coral_compile_and_the_fallback_without_device(tmp_path):
    script, model = EDGE / "coral" / "compile.sh", tmp_path / "m.tflite"
    model.write_bytes(b"x")
    shown = run("bash", script, model, "--dry-run")
    assert shown.returncode == 0 and "edgetpu_compiler" in shown.stdout
    assert "no such file" in run("bash", script, "none.tflite").stderr
    assert run(sys.executable, EDGE / "coral" / "run.py", tmp_path / "none.tflite", tmp_path).returncode == 1


def test_coral_run_on_the_cpu_with_a_real_integer_file(tmp_path):
    """The same program with --cpu: a converted, quantised file and a folder of tiles."""
    litert = pytest.importorskip("cvprod.runtimes.litert")
    pytest.importorskip("litert_torch", reason="needs litert-torch to convert a network")
    import torch
    from torch import nn

    torch.manual_seed(0)
    net = nn.Sequential(nn.AvgPool2d(8), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(800, 7)).eval()
    calibration = np.random.default_rng(0).integers(0, 256, (16, 1, 96, 96), dtype=np.uint8)
    model = litert.convert(net, tmp_path / "m.tflite", precision="int8", calibration=calibration)
    for number, tile in enumerate(calibration[:5, 0]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), tile)
    done = run(sys.executable, EDGE / "coral" / "run.py", model, tmp_path, "--cpu")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["tiles"] == sum(found["found"].values()) == 5


def test_container_copies_only_what_exists():
    text = (EDGE / "jetson" / "Containerfile").read_text()
    for source in re.findall(r"^COPY (\S+) ", text, re.M):
        assert (root() / source).exists(), source
    assert re.search(r"^USER inspector$", text, re.M) and "HEALTHCHECK" in text
    assert Path(root() / "cvprod/edge/devices.yaml").is_file() and yaml.safe_load(
        (root() / "cvprod/edge/devices.yaml").open()
    )
