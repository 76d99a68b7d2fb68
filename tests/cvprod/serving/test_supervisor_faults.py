"""The process that owns the port, when its workers are behind, dead, or not there yet."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest

from cvprod.serving import metric_files
from cvprod.serving.card import read
from cvprod.serving.process import supervisor
from cvprod.serving.settings import DEFAULT_MODEL, Settings
from cvprod.traffic import hostile as pictures

from .conftest import metrics, wait_for

JPEG = pictures.encode(pictures.GREY, "JPEG")
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#: More connections than the channel of a worker that does not read takes (some 280).
CROWD = 400

needs_limits = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prlimit (Linux)")


@pytest.fixture
def crowd():
    """Connect many callers who send a request, or nothing; whoever is still there at the end is closed."""
    callers = []

    def come(service, n=CROWD, request=REQUEST):
        for _ in range(n):
            callers.append(socket.create_connection(("127.0.0.1", service.port), timeout=10))
            callers[-1].sendall(request)
        return callers[-n:]

    yield come
    for caller in callers:
        caller.close()


@pytest.fixture
def still(start):
    """A service whose only worker stands still, and that worker."""
    service = start("--workers", 1, "--latency-budget-ms", 20_000, "--no-access-log")
    (worker,) = service.workers()
    os.kill(worker, signal.SIGSTOP)
    yield service, worker
    if psutil.pid_exists(worker):
        os.kill(worker, signal.SIGCONT)


def answers(callers, seconds=15):
    """The statuses that they get, as the answers come; b"" for each that is closed instead."""
    waiting, got, until = {caller.fileno(): caller for caller in callers}, [], time.monotonic() + seconds
    poll = select.poll()
    for number in waiting:
        poll.register(number, select.POLLIN)
    while waiting and time.monotonic() < until:
        for number, _ in poll.poll(200):
            poll.unregister(number)
            caller = waiting.pop(number)
            try:
                got.append(caller.recv(100)[9:12])
            except OSError:
                got.append(b"")
    return got


def descriptors(service):
    return psutil.Process(service.process.pid).num_fds()


# --- workers that are behind -------------------------------------------------------------------------------


def test_who_comes_while_the_workers_channel_is_full_is_answered_when_it_reads_again(still, crowd):
    service, worker = still
    before = descriptors(service)
    callers = crowd(service)
    wait_for(lambda: descriptors(service) > before + CROWD / 5)  # it holds what the channel does not take
    os.kill(worker, signal.SIGCONT)
    assert answers(callers) == [b"200"] * CROWD
    wait_for(lambda: descriptors(service) == before)
    assert metrics(service)["cvprod_connections"] == 1


def test_who_leaves_while_it_waits_for_a_worker_takes_its_descriptor_with_it(still, crowd):
    service, _ = still
    before = descriptors(service)
    callers = crowd(service, request=b"")
    wait_for(lambda: descriptors(service) > before + CROWD / 5)
    for caller in callers:
        caller.close()
    wait_for(lambda: descriptors(service) == before)


def test_who_waits_for_a_worker_as_the_service_ends_is_answered_all_the_same(still, crowd):
    service, worker = still
    before = descriptors(service)
    callers = crowd(service)
    wait_for(lambda: descriptors(service) > before + CROWD / 5)
    service.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "draining" in service.log.read_text())
    os.kill(worker, signal.SIGCONT)
    assert answers(callers) == [b"200"] * CROWD
    assert service.stop() == 0


@needs_limits
def test_a_supervisor_without_descriptors_sleeps_and_answers_when_it_has_some_again(still, crowd):
    import resource

    service, worker = still
    top = psutil.Process(service.process.pid)
    resource.prlimit(top.pid, resource.RLIMIT_NOFILE, (top.num_fds() + 20, 1024))
    callers = crowd(service)
    wait_for(lambda: "accept-failed" in service.log.read_text())
    before, begun = sum(top.cpu_times()[:2]), time.monotonic()
    time.sleep(1)
    assert sum(top.cpu_times()[:2]) - before < (time.monotonic() - begun) / 3
    os.kill(worker, signal.SIGCONT)
    assert answers(callers) == [b"200"] * CROWD
    assert "Traceback" not in service.log.read_text()


# --- no worker ---------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path):
    """Write a card with this version beside the default model; spoilt: its self-test cannot be passed."""
    card, data = read(DEFAULT_MODEL)
    (tmp_path / "model.onnx").write_bytes(data)

    def put(version, spoilt=False):
        wrong = {"self_test": (99.0,) * len(card.self_test)} if spoilt else {}
        changed = card.model_copy(update={"file": "model.onnx", "version": version, **wrong})
        (tmp_path / "model.json").write_text(changed.model_dump_json())
        return tmp_path / "model.json"

    return put


def infos(service):
    return [value for name, value in metrics(service).items() if name.startswith("cvprod_model_info")]


def test_a_worker_that_is_killed_before_it_is_ready_leaves_no_number_behind(start):
    service = start("--workers", 1, "--no-spare", "--latency-budget-ms", 20_000)
    (nursery,) = psutil.Process(service.process.pid).children()
    (worker,) = nursery.children()
    folder = Path(worker.environ()["PROMETHEUS_MULTIPROC_DIR"])
    said = (folder / f"gauge_livesum_{worker.pid}.db").read_bytes()
    assert b"cvprod_model_info" in said
    worker.kill()
    wait_for(lambda: [child for child in nursery.children() if child != worker])
    (successor,) = (child for child in nursery.children() if child != worker)
    successor.suspend()  # it names its model and is killed before it has told the supervisor its number
    (folder / f"gauge_livesum_{successor.pid}.db").write_bytes(said)
    successor.kill()
    wait_for(lambda: service.log.read_text().count("worker-died") == 2)
    assert service.get("/healthz")
    wait_for(lambda: infos(service) == [1])


@pytest.mark.parametrize("spoilt", [True, False])
def test_a_model_asked_for_while_no_worker_is_there_is_tested_before_it_is_taken(start, place, spoilt):
    service = start("--workers", 1, "--no-spare", "--latency-budget-ms", 20_000, "--model", place("old"))
    (worker,) = service.workers()
    place("new", spoilt)
    (nursery,) = psutil.Process(service.process.pid).children()
    nursery.suspend()  # nobody can be started in the meantime
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: "worker-died" in service.log.read_text())
    service.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert "model-" not in service.log.read_text()  # neither taken nor refused
    nursery.resume()
    wait_for(lambda: ("model-refused" if spoilt else "model-swapped") in service.log.read_text())
    wait_for(lambda: service.workers() and service.workers() != [worker])
    version = json.loads(service.post(JPEG))["model"]["version"]
    assert version == ("old" if spoilt else "new")
    os.kill(*service.workers(), signal.SIGKILL)
    wait_for(lambda: service.log.read_text().count("worker-died") == 2)
    assert json.loads(service.post(JPEG))["model"]["version"] == version


def test_a_model_that_no_worker_can_test_in_time_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "_TESTER_SECONDS", 0.1)
    refused = []
    monkeypatch.setattr(supervisor.log, "error", lambda _, extra: refused.append(extra["reason"]))

    async def swap():
        alone = supervisor.Supervisor(Settings(port=0))
        alone.state = tmp_path
        alone.card = before = tmp_path / "before.json"
        await alone._swap(None)
        return alone.card == before

    assert asyncio.run(swap()) and refused == ["no worker was there to test the model"]


# --- a start that comes to nothing -------------------------------------------------------------------------


@pytest.fixture
def launch(tmp_path):
    """Start the service with a folder of its own for what is temporary; it need not come up. Process and folder."""
    running = []

    def go(*options):
        (folder := tmp_path / "temporary").mkdir()
        command = [sys.executable, "-m", "cvprod.serving", "--no-pin", "--workers", "2", *map(str, options)]
        running.append(
            subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
                env={**os.environ, "TMPDIR": str(folder)},
            )
        )
        return running[-1], folder

    yield go
    for process in running:
        process.kill()
        process.communicate()


def test_a_start_that_fails_leaves_no_folders(launch, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process, folder = launch("--port", taken.getsockname()[1])
        assert process.wait(30) == 2 and not list(folder.iterdir())
    folder.rmdir()
    process, folder = launch("--port", 0, "--model", tmp_path / "missing.json")
    assert process.wait(30) == 3 and not list(folder.iterdir())


def test_a_start_at_which_every_worker_fails_ends_without_replacing_anybody(launch, place):
    process, folder = launch("--port", 0, "--model", place("spoilt", spoilt=True))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3 and not list(folder.iterdir())
    assert json.loads(err.splitlines()[-1])["event"] == "no-worker-starts"


@pytest.mark.parametrize("stage", ["nursery", "workers"])
def test_a_service_that_is_ended_while_it_starts_ends_quietly(launch, stage):
    process, folder = launch("--port", 0)
    top = psutil.Process(process.pid)
    wait_for(lambda: top.children() and (stage == "nursery" or top.children()[0].children()), 60)
    process.terminate()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and not list(folder.iterdir())
    events = {json.loads(line)["event"] for line in err.splitlines()}
    if b"Listening" not in out:  # else it was quicker than we
        assert "draining" in events and events <= {"draining", "worker-ready"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_service_that_is_told_again_and_again_to_end_ends_well(launch, number):
    """Also in the moment in which the event loop is closed already and the interpreter still there."""
    process, folder = launch("--port", 0)
    assert b"Listening" in process.stdout.readline()
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.002)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0 and not list(folder.iterdir()) and b"Traceback" not in err


def test_metrics_that_are_folded_as_the_service_ends_do_not_keep_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(supervisor, "keep", lambda card, *_: card)
    begun = threading.Event()

    def fold_dead(folder):
        begun.set()
        time.sleep(0.2)
        (folder / "gone.db").touch()

    monkeypatch.setattr(metric_files, "fold_dead", fold_dead)

    async def serve():
        alone = supervisor.Supervisor(Settings(port=0))

        async def start():
            alone._spawn(alone._fold_dead(None))
            while not begun.is_set():
                await asyncio.sleep(0.001)
            return 3  # no worker starts

        monkeypatch.setattr(alone, "_start_all", start)
        status = await alone.run()
        await alone._fold_dead(None)  # a worker that was ready a moment too late: nobody reads its metrics
        return status

    assert asyncio.run(serve()) == 3 and begun.is_set() and not list(tmp_path.iterdir())
