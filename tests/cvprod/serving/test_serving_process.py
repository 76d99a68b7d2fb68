"""The real service: real clients, killed workers, spoilt models, slow and rude callers, overload, the end."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from cvprod import measure
from cvprod.serving import model as serving
from cvprod.serving.process.worker import MESSAGES, Worker
from cvprod.serving.settings import DEFAULT_MODEL, Settings
from cvprod.surface import tiles
from cvprod.traffic import hostile as pictures

from .conftest import metrics, wait_for

JPEG = pictures.encode(pictures.GREY, "JPEG")


def memory(service):
    """Memory of all its processes, in MB; what forks share is counted once (proportional set size)."""
    top = psutil.Process(service.process.pid)
    return sum(process.memory_full_info().pss for process in [top, *top.children(recursive=True)]) / 1e6


# --- clients of others -------------------------------------------------------------------------------------


def test_tritonclient_over_http_and_grpc_gets_the_same_logits(service, model):
    from tritonclient import grpc as over_grpc
    from tritonclient import http as over_http
    from tritonclient.utils import InferenceServerException

    images = tiles("test", 6).images
    expected = model.run(images)
    addresses = {over_http: f"127.0.0.1:{service.port}", over_grpc: f"127.0.0.1:{service.grpc_port}"}
    for library, address in addresses.items():
        client = library.InferenceServerClient(address)
        assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("steel")
        assert not client.is_model_ready("other")
        for dtype, kind in ((np.uint8, "UINT8"), (np.float32, "FP32")):
            given = library.InferInput("pixels", list(images.shape), kind)
            given.set_data_from_numpy(images.astype(dtype))
            answer = client.infer("steel", [given], outputs=[library.InferRequestedOutput("logits")], request_id="7")
            assert np.allclose(answer.as_numpy("logits"), expected, atol=1e-3)
        with pytest.raises(InferenceServerException, match="The shape must be"):
            wrong = library.InferInput("pixels", [1, 9], "UINT8")
            wrong.set_data_from_numpy(np.zeros((1, 9), np.uint8))
            client.infer("steel", [wrong])
        client.close()


def test_a_real_browser_like_stream(service):
    import websockets.sync.client as websockets

    def counted():
        found = metrics(service)
        names = [f'cvprod_requests_total{{code="{code}",route="/v1/stream"}}' for code in (200, 415)]
        names += [
            'cvprod_request_seconds_count{route="/v1/stream"}',
            'cvprod_rejected_total{reason="image-unsupported"}',
        ]
        return [found.get(name, 0) for name in names]

    before = counted()
    with websockets.connect(f"ws://127.0.0.1:{service.port}/v1/stream?policy=all", max_size=2**20) as stream:
        for frame in (*[JPEG] * 5, b"nonsense"):
            stream.send(frame)
        answers = [json.loads(stream.recv(timeout=10)) for _ in range(6)]
    assert [a["frame"] for a in answers] == list(range(6)) and {a["label"] for a in answers[:5]} == {"scratches"}
    wait_for(lambda: [now - then for now, then in zip(counted(), before, strict=True)] == [5, 1, 6, 1])


def test_jobs_run_in_the_background_whichever_worker_is_asked(service):
    import httpx

    with httpx.Client(base_url=service.address) as client:
        place = client.post("/v1/jobs", files=[("images", JPEG)] * 30).headers["location"]
        wait_for(lambda: client.get(place).json()["status"] == "done")
        rows = client.get(f"{place}/results").text.splitlines()
    assert [json.loads(row)["index"] for row in rows] == list(range(30))


def test_services_that_share_a_folder_know_each_others_jobs_and_finish_them(start, tmp_path):
    import httpx

    options = ("--workers", 1, "--latency-budget-ms", 5000, "--jobs", tmp_path / "jobs")
    first, second = start(*options), start(*options)
    with (
        httpx.Client(base_url=first.address, timeout=60) as one,
        httpx.Client(base_url=second.address, timeout=60) as other,
    ):
        sent = {"files": [("images", JPEG)] * 900, "headers": {"idempotency-key": "coil 7"}}
        made = one.post("/v1/jobs", **sent)
        place = made.headers["location"]
        again = other.post("/v1/jobs", **sent)
        assert (made.status_code, again.status_code, again.headers["location"]) == (202, 200, place)
        assert other.get(place).json()["status"] in ("queued", "running")
        top = psutil.Process(first.process.pid)
        for process in (top, *top.children(recursive=True)):
            process.kill()  # the whole box
        wait_for(lambda: other.get(place).json()["status"] == "done", 60)
        rows = [json.loads(row)["index"] for row in other.get(f"{place}/results").text.splitlines()]
        assert rows == list(range(900))
        assert other.delete(place).status_code == 204 and not list((tmp_path / "jobs").iterdir())


def test_metrics_add_up_over_the_workers(service):
    def total():
        found = metrics(service)
        return sum(value for name, value in found.items() if name.startswith("cvprod_batch_images_sum"))

    before = total()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: service.post(JPEG), range(40)))
    assert total() == before + 40
    assert service.get("/metrics").count("cvprod_model_info{") == 1


def test_a_scrape_passes_over_a_file_that_a_worker_has_only_just_created(service):
    workers = psutil.Process(service.process.pid).children(recursive=True)
    places = {worker.environ().get("PROMETHEUS_MULTIPROC_DIR") for worker in workers} - {None}
    empty = Path(places.pop()) / "counter_4194305.db"  # a number that no process has
    before = {name for name in metrics(service) if name.startswith("cvprod_batch")}
    empty.touch()
    try:
        assert before and {name for name in metrics(service) if name.startswith("cvprod_batch")} == before
    finally:
        empty.unlink()


# --- rude clients ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pictures.hostile())
def test_hostile_pictures_are_refused_and_nobody_dies(service, name):
    data, _ = pictures.hostile()[name]
    workers = service.workers()
    with pytest.raises(urllib.error.HTTPError) as refused:
        service.post(data)
    detail = json.loads(refused.value.read())["detail"]
    assert 400 <= refused.value.code < 500 and "/work" not in detail and "cvprod" not in detail
    assert service.workers() == workers


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"GET / HTTP/1.1\r\n\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"A" * 200_000, b"\0" * 1000,
        b"POST /v1/inspect HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)  # fmt: skip
def test_bytes_that_are_no_request(service, bytes_sent):
    workers = service.workers()
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw:
        try:
            raw.sendall(bytes_sent)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(1000)
        except OSError:
            answer = b""
    assert not answer or b" 4" in answer[:20]
    assert service.workers() == workers and json.loads(service.post(JPEG))["label"] == "scratches"


HEADS = {
    "many headers": [b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 20_000],
    "one header without an end": [b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"y" * 100_000],
    "an address without an end": [b"GET /healthz?", b"y" * 100_000],
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_without_an_end_is_cut_off_and_fills_no_memory(service, name):
    first, more = HEADS[name]
    before, sent = memory(service), 0
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw, contextlib.suppress(OSError):
        raw.sendall(first)
        for sent in range(1, 400):  # noqa: B007 - how many were taken
            raw.sendall(more)
    assert sent < 399 and memory(service) < before + 30


def test_a_long_head_is_read_and_a_longer_one_refused_with_a_reason(service):
    for size, status in ((50_000, b" 200 "), (70_000, b" 431 ")):
        with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw:
            raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: " + b"y" * size + b"\r\n\r\n")
            assert status in raw.recv(1000)


def test_what_follows_the_body_is_no_header(service):
    chunk = b"%x\r\n%b\r\n0\r\nContent-Type: text/plain\r\nX-Request-Id: late\r\n\r\n" % (len(JPEG), JPEG)
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw:
        raw.sendall(b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
        answer = raw.recv(2000)
    assert b" 200 " in answer[:20] and b"late" not in answer


def test_a_body_that_is_too_large_is_cut_off(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw:
        raw.sendall(b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert b" 413 " in raw.recv(1000)
    before = memory(service)
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as raw:
        raw.sendall(b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + bytes(2**20) + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(200):
                raw.sendall(piece)
    assert memory(service) < before + 60


def test_slow_clients_are_hung_up_on_and_slow_nobody(start):
    service = start("--workers", 1, "--read-seconds", 1, "--latency-budget-ms", 1000)
    slow = []
    for _ in range(50):
        raw = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        raw.sendall(
            b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 9999\r\n\r\nabc"
        )
        slow.append(raw)
    assert json.loads(service.post(JPEG))["label"] == "scratches"
    for raw in slow:
        raw.settimeout(10)
        raw.recv(1000)  # an answer, or the end: not a time-out
        raw.close()
    assert json.loads(service.post(JPEG))["label"] == "scratches"


def test_all_connections_that_wait_are_taken_over_in_one_turn_of_the_loop(tmp_path, monkeypatch):
    """One a turn, where a turn computes a batch, would let later requests on open connections overtake them."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    taken = []

    async def serve(self, connection):
        taken.append(connection.recv(9))
        connection.close()

    async def turns():
        worker = Worker(Settings(workers=1, state=tmp_path), theirs, 0, DEFAULT_MODEL)
        for number in range(MESSAGES + 20):
            there, here = socket.socketpair()
            with there, here:
                there.send(b"%d" % number)
                socket.send_fds(ours, [b"C"], [here.fileno()])
        ours.send(b"N")  # also what is said behind them
        for _ in range(2):
            worker._heard()
            await asyncio.sleep(0)
            yield len(taken), worker.app.ready

    async def found():
        return [turn async for turn in turns()]

    monkeypatch.setattr(Worker, "_serve", serve)
    theirs.setblocking(False)
    with ours, theirs:
        assert asyncio.run(found()) == [(MESSAGES, True), (MESSAGES + 20, False)]
    assert taken == [b"%d" % number for number in range(MESSAGES + 20)]  # and in the order in which they came


def test_as_many_connections_as_were_allowed_also_when_all_come_at_once(start):
    service, lines = start("--workers", 1, "--max-connections", 20), []
    with contextlib.ExitStack() as stack:
        crowd = [socket.create_connection(("127.0.0.1", service.port), 20) for _ in range(50)]
        for caller in crowd:
            stack.enter_context(caller)
            with contextlib.suppress(OSError):
                caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        for caller in crowd:
            with contextlib.suppress(ConnectionError):
                lines.append(caller.recv(15))
    assert lines.count(b"HTTP/1.1 200 OK") == 20 and set(lines) <= {b"HTTP/1.1 200 OK", b""}

    def free():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return "alive" in service.get("/healthz")

    wait_for(free)  # the next may come when those have left


def test_callers_that_leave_cost_nothing(service):
    for _ in range(100):
        raw = socket.create_connection(("127.0.0.1", service.port), timeout=10)
        raw.sendall(
            b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
            % len(JPEG)
            + JPEG[:-5]
        )
        raw.close()
    assert json.loads(service.post(JPEG))["label"] == "scratches"


# --- what goes wrong on our side ---------------------------------------------------------------------------


class Callers:
    """Threads that ask without end; a lost connection is asked again, as a load balancer does."""

    def __init__(self, service, n=4, retries=20):
        self.service, self.retries, self.stopped = service, retries, False
        self.versions, self.failures, self.answers = set(), [], 0
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(n)]
        for thread in self.threads:
            thread.start()

    def _run(self):
        while not self.stopped:
            for attempt in range(self.retries + 1):
                try:
                    answer = json.loads(self.service.post(JPEG))
                    self.versions.add(answer["model"]["version"])
                    self.answers += 1
                    break
                except urllib.error.HTTPError as error:
                    self.failures.append(error.code)
                    break
                except (OSError, ValueError, http.client.HTTPException):
                    if attempt == self.retries:
                        self.failures.append("connection")
                    time.sleep(0.05)

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join(30)


def test_killed_workers_are_replaced(start):
    service = start("--workers", 2, "--latency-budget-ms", 2000)
    callers = Callers(service)
    for _ in range(6):
        before = service.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda b=before: len(service.workers()) == 2 and b[0] not in service.workers())
        time.sleep(0.4)
    # The process that workers are forked from, and then all workers: there is a while without any.
    workers = service.workers()
    os.kill(psutil.Process(service.process.pid).children()[0].pid, signal.SIGKILL)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(service.workers()) == 2)
    time.sleep(0.5)
    callers.stop()
    assert callers.failures == [] and callers.answers > 20


@pytest.fixture
def own_model(tmp_path):
    """The default model in a folder of its own, and a function that writes another version of it."""
    card, data = serving.read(DEFAULT_MODEL)
    folder = tmp_path / "model"
    folder.mkdir()

    def write(version, content=data):
        partial = folder / "new"
        partial.write_bytes(content)
        partial.rename(folder / "model.onnx")
        partial.write_text(json.dumps(json.loads(card.model_dump_json()) | {"file": "model.onnx", "version": version}))
        partial.rename(folder / "model.json")
        return folder / "model.json"

    return write


def load(service):
    """Ask for a swap over HTTP; returns the answer's document."""
    try:
        return json.loads(service.post(b"", "/v2/repository/models/steel/load", "application/json"))
    except urllib.error.HTTPError as error:
        return json.loads(error.read())


def test_swaps_under_load_lose_nothing(start, own_model):
    service = start("--workers", 2, "--model", own_model("v0"), "--latency-budget-ms", 2000)
    callers = Callers(service, retries=0)
    for i in range(1, 11):
        own_model(f"v{i}")
        assert load(service) == {"name": "steel", "version": f"v{i}"}
        assert {json.loads(service.post(JPEG))["model"]["version"] for _ in range(6)} == {f"v{i}"}
    callers.stop()
    assert callers.failures == [] and {"v1", "v9"} & callers.versions


def test_a_spoilt_model_is_refused_and_the_old_one_stays_even_after_a_crash(start, own_model):
    service = start("--workers", 2, "--model", own_model("v0"), "--latency-budget-ms", 2000)
    own_model("v1", b"garbage")
    answer = load(service)
    assert answer["type"] == "/problems#model-refused" and "SHA-256" in answer["detail"]
    service.process.send_signal(signal.SIGHUP)
    before = service.workers()
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(service.workers()) == 2 and not set(before) & set(service.workers()))
    time.sleep(1.5)
    assert json.loads(service.post(JPEG))["model"]["version"] == "v0"


@pytest.mark.alone
def test_overload_keeps_the_promise_to_those_it_accepts(start):
    service = start("--workers", 2, "--latency-budget-ms", 30, "--no-access-log")
    quiet = memory(service)

    async def caller(until, found):
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        head = b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(
            JPEG
        )
        while time.monotonic() < until:
            writer.write(head + JPEG)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            found.append((int(answer[9:12]), body.get("timing_ms", {}).get("total", 0.0)))
        writer.close()

    async def storm():
        found = []
        await asyncio.gather(*(caller(time.monotonic() + 4, found) for _ in range(200)))
        return found

    def accepted(found):
        return sorted(total for code, total in found if code == 200)

    def p99(found):
        return accepted(found)[int(len(accepted(found)) * 0.99)]

    # Again where a neighbour took the cores: a service that breaks its promise does so every time.
    found = measure.best(lambda: asyncio.run(storm()), lambda found: -p99(found), enough=-3 * 30, attempts=3)
    assert {code for code, _ in found} == {200, 429} and len(accepted(found)) > 100
    # Inside the service: what the callers' own machine adds, which is this one, is not its to promise.
    assert p99(found) < 3 * 30
    assert memory(service) < quiet + 80
    time.sleep(0.5)
    assert json.loads(service.post(JPEG))["timing_ms"]["total"] < 100


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_loses_log_lines_and_no_request(tmp_path):
    command = [sys.executable, "-m", "cvprod.serving", "--port", "0", "--workers", "1"]
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=full, text=True, cwd=tmp_path)
    try:
        port = int(process.stdout.readline().rsplit(":", 1)[1])
        for _ in range(20):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/inspect", JPEG, {"Content-Type": "image/jpeg"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200
    finally:
        process.terminate()
        assert process.wait(30) == 0
        process.stdout.close()


# --- beginning and end -------------------------------------------------------------------------------------


def test_a_drain_answers_what_has_begun_and_exits_well(start):
    service = start("--workers", 2, "--latency-budget-ms", 2000, "--drain-delay", 0.5)
    raw = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    raw.sendall(
        b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(JPEG)
        + JPEG[:100]
    )
    time.sleep(0.2)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    with pytest.raises(urllib.error.HTTPError) as unready:
        service.get("/readyz")
    assert unready.value.code == 503
    time.sleep(0.6)
    raw.sendall(JPEG[100:])  # in the middle of a request when the signal came
    assert b"200 OK" in raw.recv(4000)
    raw.close()
    assert service.stop() == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", service.port), timeout=2)


@pytest.mark.parametrize(
    ("options", "code", "why"),
    [
        (("--port", "99999"), 2, "--port"), (("--workers", "none"), 2, "--workers"), (("--nonsense",), 2, "--nonsense"),
        (("--model", "missing.json"), 3, "card"), (("--host", "no.such.host.example"), 2, "cannot listen"),
        (("--api-keys", "missing"), 2, "missing"), (("--jobs", "/dev/null/jobs"), 2, "--jobs /dev/null/jobs: Not a"),
        (("--state", "/dev/null"), 2, "may write to"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_clear_line(options, code, why, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cvprod.serving", "--port", "0", *options],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == code and why in done.stderr and "Traceback" not in done.stderr


def test_nothing_private_is_logged(start, tmp_path):
    service = start("--workers", 1, "--latency-budget-ms", 1000)
    service.post(JPEG, X_Request_Id="coil-7")
    for data in (b"nonsense-content-of-mine", JPEG[:500]):
        with pytest.raises(urllib.error.HTTPError):
            service.post(data, X_API_Key="cvp_secret")
    service.stop()
    text = service.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert any(line.get("request_id") == "coil-7" and line["code"] == 200 for line in lines)
    assert "nonsense-content" not in text and "cvp_secret" not in text and str(tmp_path) not in text


def test_no_torch_and_little_memory(service):
    for pid in service.workers():
        maps = Path(f"/proc/{pid}/maps")
        assert not maps.exists() or "libtorch" not in maps.read_text()
    assert memory(service) < 512


def test_what_was_sent_before_the_end_is_answered(start):
    service = start("--workers", 2, "--latency-budget-ms", 5000)
    request = (b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b") % (
        len(JPEG),
        JPEG,
    )
    top = psutil.Process(service.process.pid)
    top.suspend()  # so that all of them lie in the queue when it is told to stop
    callers = []
    for _ in range(40):
        callers.append(socket.create_connection(("127.0.0.1", service.port), timeout=20))
        callers[-1].sendall(request)
    silent = socket.create_connection(("127.0.0.1", service.port), timeout=20)
    top.send_signal(signal.SIGTERM)
    top.resume()
    with contextlib.ExitStack() as all_of_them:
        answers = [all_of_them.enter_context(caller).recv(100)[:12] for caller in callers]
        assert set(answers) == {b"HTTP/1.1 200"}
        assert all_of_them.enter_context(silent).recv(100) == b""  # who asked nothing keeps nobody
    assert service.process.wait(15) == 0
