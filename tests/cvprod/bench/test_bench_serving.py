"""The benchmark of servers: refuses what it cannot do, and with two real servers and short loads gives whole rows."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading

import psutil
import pytest

from cvprod.bench import COMMANDS, serving
from cvprod.bench.__main__ import main
from cvprod.repo import deploy_file
from cvprod.stack import peers
from cvprod.stack.program import until


def test_peers_are_no_command_and_have_locks():
    assert "serving" in COMMANDS and "peers" not in COMMANDS
    for peer in serving.PEERS.values():
        if peer.script:
            assert (peers.HERE / peer.script).is_file()
            given, lock = (peers.HERE / f"{peer.environment}.{suffix}" for suffix in ("in", "txt"))
            assert given.is_file() == lock.is_file()
            if lock.is_file():
                names = {line.split("[")[0].split("=")[0] for line in given.read_text().split()}
                assert names <= {line.split("==")[0] for line in lock.read_text().splitlines()}


def test_every_server_and_the_ceiling_have_as_many_workers():
    said = {
        peers.HERE / "naive.py": r"workers=(\d+)",
        peers.HERE / "litserve_app.py": r"workers_per_device=(\d+)",
        peers.HERE / "ray_app.py": r"num_replicas=(\d+)",
        deploy_file("torchserve/model-config.yaml"): r"m(?:in|ax)Workers: (\d+)",
        deploy_file("triton/model_repository/steel_python/config.pbtxt"): r"count: (\d+)",
    }
    for path, pattern in said.items():
        assert set(re.findall(pattern, path.read_text())) == {str(serving.WORKERS)}, path


def test_our_service_has_as_many_workers_and_no_more_cores_than_the_ceiling(tmp_path):
    model, card = serving.make_model("pipeline", tmp_path)
    with serving.server(serving.PEERS["cvprod"], model, card, tmp_path) as address:
        port = int(address.split(":")[2].split("/")[0])
        (ours,) = (c for c in psutil.Process().children() if str(port) in c.cmdline())
        workers = [worker for nursery in ours.children() for worker in nursery.children()]
        assert len(workers) == serving.WORKERS
        if hasattr(os, "sched_getaffinity"):
            used = {core for worker in workers for core in os.sched_getaffinity(worker.pid)}
            assert used == set(serving._cores(serving.WORKERS))


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--servers", "nginx"], "unknown server nginx"),
        (["--repeats", "0"], "one repeat"),
        (["--servers", ""], "one server"),
    ],
)  # fmt: skip
def test_wrong_arguments(arguments, why, capsys):
    assert main(["serving", *arguments]) == 2
    assert why in capsys.readouterr().err


def test_without_wrk_the_client_in_python_counts_the_same(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(serving.shutil, "which", lambda name: None)
    arguments = ["--servers", "cvprod", "--network", "pipeline", "--seconds", "0.5", "--repeats", "1"]
    assert main(["serving", *arguments, "--json", str(tmp_path / "rows.json")]) == 0
    assert "apt-get install wrk" in capsys.readouterr().out
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert [row["errors"] for row in rows] == [0, 0, 0] and rows[0]["rps"] > 20
    assert all(0 < row["p50_ms"] <= row["p99_ms"] for row in rows)


def test_a_server_that_does_not_start_shows_its_log(tmp_path):
    model, card = serving.make_model("pipeline", tmp_path)
    card.write_text("{}")
    with (
        pytest.raises(RuntimeError, match="cvprod ended with 3: The model must not serve"),
        serving.server(serving.PEERS["cvprod"], model, card, tmp_path),
    ):
        pass


def test_a_server_goes_when_the_python_that_started_it_is_killed(tmp_path):
    """As a notebook's kernel is, that used too much memory: nothing of it gets to run."""
    code = """if True:
        import sys, time
        import psutil
        from pathlib import Path
        from cvprod.bench import serving
        folder = Path(sys.argv[1])
        with serving.server(serving.PEERS["fastapi"], *serving.make_model("pipeline", folder), folder) as address:
            print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as kernel:
        started = [psutil.Process(int(pid)) for pid in kernel.stdout.readline().split()]
        assert len(started) > serving.WORKERS
        kernel.kill()

    def alive():
        now = psutil.process_iter(["status"])
        return [one for one in now if one in started and one.info["status"] != psutil.STATUS_ZOMBIE]

    assert until(lambda: not alive(), 10), alive()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (apt-get install wrk)")
def test_rows_of_two_real_servers(tmp_path, capsys):
    found = tmp_path / "rows.json"
    arguments = [
        "--servers",
        "cvprod,fastapi",
        "--network",
        "pipeline",
        "--seconds",
        "1",
        "--repeats",
        "1",
        "--json",
        str(found),
    ]
    assert main(["serving", *arguments, "--plot", str(tmp_path / "chart.svg")]) == 0
    rows = json.loads(found.read_text())
    assert [(row["name"], row["connections"]) for row in rows] == [
        (n, c) for n in ("cvprod", "fastapi") for c in (1, 8, 32)
    ]
    for row in rows:
        assert row["errors"] == 0 and 0 < row["p50_ms"] <= row["p99_ms"] and 0 < row["share_of_ceiling"] < 3
    assert (tmp_path / "chart.svg").read_text().lstrip().startswith("<?xml") and "share" in capsys.readouterr().out


def test_the_ceiling_can_be_measured_again_and_a_dead_process_is_said(tmp_path):
    model, _ = serving.make_model("pipeline", tmp_path)
    with serving.Ceiling(model, serving.make_pictures(tmp_path, 2)) as ceiling:
        assert len(ceiling._crew) == serving.WORKERS
        first, second = ceiling.measure(0.3), ceiling.measure(0.3)
        assert first > 100 and 0.3 < first / second < 3
        crew = [process for process, _ in ceiling._crew]
        crew[0].kill()
        crew[0].join()
        with pytest.raises(RuntimeError, match="has died"):
            ceiling.measure(0.3)
    assert not any(process.is_alive() for process in crew)


def test_pictures_are_whole_while_others_make_them_anew(tmp_path):
    """Servers that start side by side share the folder, and each sends the first picture until it is answered."""
    (path,) = serving.make_pictures(tmp_path, 1)
    whole, over = path.read_bytes(), threading.Event()
    maker = threading.Thread(target=lambda: [serving.make_pictures(tmp_path, 1) for _ in range(10)] and over.set())
    maker.start()
    seen = set()
    while not over.is_set():
        seen.add(path.read_bytes())
    maker.join()
    assert seen == {whole}
