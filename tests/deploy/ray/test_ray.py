"""The Ray application and the offline scoring, run by the real Ray: answers, limits, scaling, nothing left behind."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from cvprod.repo import root
from cvprod.serving import images
from cvprod.serving.errors import KINDS, MEDIA_TYPE
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import peers, ray_serve
from cvprod.surface import make_set
from cvprod.traffic import hostile, http_load

FOLDER = root() / "deploy/ray"
JPEGS = [hostile.encode(tile, "JPEG", quality=90) for tile in make_set(41, seed=13, size=224).images[:, 0]]
#: What the application says of itself, as JSON: to be run in its folder.
PROBE = """
import json, sys, yaml
from ray._common.utils import import_attr
from ray.serve.schema import ServeDeploySchema
def unknown(given):  # Ray's schema passes over what it does not know, so a misspelt option would be none
    read = json.loads(ServeDeploySchema.model_validate(given).model_dump_json())
    def walk(a, b, place):
        if isinstance(a, list):
            return [found for i, part in enumerate(a) for found in walk(part, b[i], place)]
        if not isinstance(a, dict):
            return []
        return [place + [k] for k in a if k not in b] + [f for k in a if k in b for f in walk(a[k], b[k], place + [k])]
    return walk(given, read, [])
given = yaml.safe_load(open("serve.yaml"))
faults = unknown(given)
sys.path.insert(0, ".")
deployment = import_attr(given["applications"][0]["import_path"])._bound_deployment
config = json.loads(deployment._deployment_config.model_dump_json())
given["applications"][0]["deployments"][0]["max_ongoing_request"] = given["http_options"]["ports"] = 8
print(json.dumps({"name": deployment.name, "config": config, "actor": deployment.ray_actor_options,
                  "faults": faults, "planted": [words[-1] for words in unknown(given)]}))
"""


@pytest.fixture(scope="module")
def python():
    try:
        return peers.environment("ray")
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables for Ray's Python: the package on its path, and nothing else of our environment."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "cvprod").symlink_to(root() / "cvprod")
    return {**os.environ, "PYTHONPATH": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def expected():
    """(label, calibrated probability) of each picture, by the runtime."""
    runtime = Model.load(DEFAULT_MODEL)
    odds = runtime.probabilities(runtime.run(np.stack([images.to_tile(jpeg) for jpeg in JPEGS])[:, None]))
    found = [(runtime.card.classes[i], float(row[i])) for i, row in zip(odds.argmax(1), odds, strict=True)]
    assert len({label for label, _ in found}) >= 5
    return found


# --- serve.yaml --------------------------------------------------------------------------------------------


def test_serve_yaml_names_what_is_there_and_agrees_with_the_code(python, environment):
    done = subprocess.run(
        [python, "-c", PROBE], cwd=FOLDER, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == [] and set(found["planted"]) == {"ports", "max_ongoing_request"}
    given = yaml.safe_load((FOLDER / "serve.yaml").read_text())["applications"][0]["deployments"][0]
    assert given["name"] == found["name"] == "Inspection"
    assert given["ray_actor_options"] == {"num_cpus": found["actor"]["num_cpus"]} == {"num_cpus": 1}
    for option in ("max_ongoing_requests", "max_queued_requests"):
        assert given[option] == found["config"][option]
    ours, theirs = given["autoscaling_config"], found["config"]["autoscaling_config"]
    assert set(ours) <= set(theirs), "the schema takes any word here; the class behind it names all that there are"
    for option in ("target_ongoing_requests", "upscale_delay_s", "downscale_delay_s"):
        assert ours[option] == theirs[option]
    # A cluster has more of them, and never fewer than a laptop.
    assert ours["min_replicas"] >= theirs["min_replicas"] and ours["max_replicas"] >= theirs["max_replicas"]


# --- app.py ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray(python):
    assert python.is_file()
    with ray_serve.RayServe() as running:
        yield running


def call(ray, method="POST", body=None):
    """Status, headers, document."""
    connection = http.client.HTTPConnection("127.0.0.1", ray.port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, "/", body, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())


def until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this has taken too long"
        time.sleep(0.1)


def test_answers_are_those_of_the_runtime(ray, expected):
    assert call(ray, "GET")[0::2] == (200, {"ready": True})
    for jpeg, (label, probability) in zip(JPEGS[:24], expected, strict=False):
        status, _, answer = call(ray, body=jpeg)
        assert (status, answer["label"]) == (200, label)
        assert answer["probability"] == pytest.approx(probability, abs=0.02)
        assert answer["model"] == {"name": "steel", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("method", "body", "slug"),
    [
        ("POST", b"garbage", "image-unsupported"),
        ("POST", JPEGS[0][:300], "image-truncated"),
        ("POST", b"", "body-empty"),
        ("POST", b"\0" * (8 * 2**20 + 1), "body-too-large"),
        ("PUT", JPEGS[0], "method-not-allowed"),
    ],
    ids=["garbage", "cut", "empty", "too large", "method"],
)
def test_problems_are_the_documented_ones(ray, expected, method, body, slug):
    status, headers, problem = call(ray, method, body)
    assert (status, headers["Content-Type"]) == (KINDS[slug].status, MEDIA_TYPE)
    assert problem["type"].endswith(f"#{slug}") and problem["status"] == status
    assert headers["Allow"] == ("GET, POST" if slug == "method-not-allowed" else None)
    assert call(ray, body=JPEGS[1])[2]["label"] == expected[1][0], "it does not live on"


def test_a_second_replica_comes_under_load_and_goes_after_it(ray):
    until(lambda: ray.replicas and ray.replicas[-1][1] == 1, 15)
    # Ray starts a Python for it, which gets what load and other tests leave of two cores: only a hang takes this long.
    statuses, end = [], time.monotonic() + 120
    while ray.replicas[-1][1] < 2 and time.monotonic() < end:
        statuses += list(http_load.measure(ray.address, JPEGS[:16], connections=12, seconds=2).status)
    assert ray.replicas[-1][1] == 2
    assert set(statuses) == {200} and len(statuses) > 50
    until(lambda: ray.replicas[-1][1] == 1, 60)
    assert max(count for _, count in ray.replicas) == 2
    assert call(ray, body=JPEGS[0])[0] == 200


def gone(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def family(process):
    """All processes below this one, once Ray's own are among them."""
    found = []

    def there():
        found[:] = psutil.Process(process.pid).children(recursive=True)
        return {"raylet", "gcs_server"} <= {child.name() for child in found}

    until(there, 60)
    return found


# The last test that uses the module's server: it is gone after it.
def test_it_stops_on_sigterm_under_load_and_leaves_nothing(ray):
    processes = family(ray.process)
    running = http_load.start(ray.address, JPEGS[:4], connections=4, seconds=2)
    ray.process.send_signal(signal.SIGTERM)
    assert ray.process.wait(30) == 0
    until(lambda: all(gone(process) for process in processes), 10)
    with contextlib.suppress(RuntimeError):  # its server went away
        running.result()


def test_it_goes_when_the_python_that_started_it_is_killed(python):
    code = "import time; from cvprod.stack import ray_serve; ray = ray_serve.RayServe()\n"
    code += "print(ray.process.pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as kernel:
        leader = psutil.Process(int(kernel.stdout.readline()))
        processes = [leader, *leader.children(recursive=True)]
        assert {"raylet", "gcs_server"} <= {process.name() for process in processes}
        kernel.kill()
    until(lambda: all(gone(process) for process in processes), 30)


# --- offline.py --------------------------------------------------------------------------------------------


def start(python, environment, folder, *words):
    return subprocess.Popen(
        [python, FOLDER / "offline.py", *words], cwd=folder, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_folder_is_scored_file_by_file(python, environment, expected, tmp_path):
    pictures = tmp_path / "some pictures"
    (pictures / "coil 2").mkdir(parents=True)
    names = [f"{i:02d}.jpg" for i in range(40)] + ["coil 2/40.jpg"]
    for name, jpeg in zip(names, JPEGS, strict=True):
        (pictures / name).write_bytes(jpeg)
    problems = {"empty.jpg": "image-unsupported", "cut.jpg": "image-truncated"}
    (pictures / "empty.jpg").write_bytes(b"")
    (pictures / "cut.jpg").write_bytes(JPEGS[0][:300])
    (pictures / ".thumbnails.jpg").write_bytes(JPEGS[0])
    running = start(python, environment, tmp_path, "some pictures", "out", "--workers", "1")
    out, err = running.communicate(timeout=300)
    assert running.returncode == 0, err
    assert out.splitlines()[-1] == "43 files scored, results in out"
    assert "left out, for a name that begins with . or _: 1, such as .thumbnails.jpg" in err
    lines = [json.loads(line) for file in (tmp_path / "out").iterdir() for line in file.read_text().splitlines()]
    found = {str(Path(line["path"]).relative_to(pictures)): line for line in lines}
    assert len(lines) == len(found) == 43 and {line["model"] for line in lines} == {"1.0.0"}
    for name, (label, probability) in zip(names, expected, strict=True):
        assert (found[name]["label"], found[name]["problem"]) == (label, "")
        assert found[name]["probability"] == pytest.approx(probability, abs=0.02)
    for name, problem in problems.items():
        assert (found[name]["label"], found[name]["problem"]) == ("", problem)
        assert found[name]["probability"] is None


def test_frames_get_a_line_for_each_defect(python, environment, tmp_path):
    """The scorer itself, without a cluster around it: the run above shows that Ray calls it."""
    from cvprod import surface
    from cvprod.serving import localisation, model, settings

    whole = surface.make_frame(11, ["patches", "crazing"], width=1500)
    files = {"a.png": hostile.encode(whole.image, "PNG"), "b.png": b"nonsense"}
    files["c.png"] = hostile.encode(np.full((100, 900), 90, np.uint8), "PNG")
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    script = (
        "import json, sys, numpy as np; from pathlib import Path; from offline import FrameScorer\n"
        "paths = sorted(map(str, Path(sys.argv[1]).glob('*.png')))\n"
        "block = {'path': np.array(paths, object), 'bytes': np.array([Path(p).read_bytes() for p in paths], object)}\n"
        "print(json.dumps({name: column.tolist() for name, column in FrameScorer()(block).items()}))"
    )
    done = subprocess.run(
        [python, "-c", script, str(tmp_path)], cwd=FOLDER, env=environment, capture_output=True, text=True,
        timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    given = settings.Settings()
    plain = localisation.search(
        model.Model.load(given.model), whole.image, tile=given.tile_pixels, overlap=given.tile_overlap
    )
    boxes = list(zip(*(told[side] for side in ("x0", "y0", "x1", "y1")), strict=True))
    assert boxes == [*(f.box for f in plain), (0, 0, 0, 0), (0, 0, 0, 0)]
    assert told["label"] == [*(f.label for f in plain), "", ""]
    assert told["problem"] == [""] * len(plain) + ["image-unsupported", "image-too-small"]


def test_wrong_use_is_said_before_anything_is_started(python, environment, tmp_path):
    for name in ("full", "none", "only hidden", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "full/a.jpg").write_bytes(JPEGS[0])
    (tmp_path / "only hidden/.a.jpg").write_bytes(JPEGS[0])
    (tmp_path / "there/old.json").write_text("{}")
    cases = [
        (["nowhere", "out"], 1, "nowhere: no such folder, or no file in it."),
        (["none", "out"], 1, "none: no such folder, or no file in it."),
        (["only hidden", "out"], 1, "only hidden: no such folder, or no file in it."),
        (["full", "there"], 1, "there is there already: name a new folder."),
        (["full", "out", "--workers", "0"], 1, "--workers must be at least 1."),
        (["full"], 2, "the following arguments are required: out"),
    ]
    running = [start(python, environment, tmp_path, *words) for words, _, _ in cases]
    for process, (_, status, why) in zip(running, cases, strict=True):
        out, err = process.communicate(timeout=180)
        assert (process.returncode, out) == (status, "") and why in err and "Traceback" not in err
    assert not (tmp_path / "out").exists() and (tmp_path / "there/old.json").read_text() == "{}"


# --- retrain.py --------------------------------------------------------------------------------------------


def test_lines_are_retrained_side_by_side_and_a_damaged_one_costs_only_itself(environment, python, tmp_path):
    from cvprod.mlops import heads

    rng, lines = np.random.default_rng(4), tmp_path / "lines"
    lines.mkdir()
    labels = rng.integers(0, 7, 300)
    planted = (rng.normal(0, 1, (7, 96))[labels] + rng.normal(0, 0.5, (300, 96))).astype(np.float32)
    np.savez(lines / "north.npz", x=planted, y=labels)
    np.savez(lines / "south.npz", x=planted[::-1], y=rng.integers(0, 7, 300))  # nothing to learn
    (lines / "west.npz").write_bytes(b"no archive")
    done = subprocess.run(
        [python, FOLDER / "retrain.py", "lines", "out"], cwd=tmp_path, env=environment, capture_output=True,
        text=True, timeout=400, check=False,
    )  # fmt: skip
    told = {line["line"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1 and set(told) == {"north", "south", "west"}, done.stderr
    assert told["north"]["after"] > 0.9 > told["north"]["before"] and "problem" in told["west"]
    with np.load(tmp_path / "out" / "north.npz") as made:
        head = heads.Head(made["weight"], made["bias"])
    assert head.accuracy(planted[200:], labels[200:]) == pytest.approx(told["north"]["after"], abs=1e-3)
    assert not told["south"]["written"] and not (tmp_path / "out" / "south.npz").exists()
