"""The HTTP interfaces in this process: answers, problems, keys, limits, tensors, frames, jobs."""

import asyncio
import json
import re
import time

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from cvprod.serving import auth
from cvprod.serving.errors import KINDS, ServiceError
from cvprod.serving.jobs import Runner
from cvprod.surface import CLASSES, tiles
from cvprod.traffic import hostile as pictures

from . import conftest

JPEG = pictures.encode(pictures.GREY, "JPEG")
PNG = pictures.encode(pictures.GREY, "PNG")
IMAGE = {"content-type": "image/jpeg"}


def ask(app, *requests):
    """Send requests, (method, path, options) each; the answers, or the one."""
    found = conftest.ask(app, *requests)
    return found[0] if len(found) == 1 else found


def problem(answer, slug):
    """The answer is this problem, told in the way of RFC 9457."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["type"] == f"/problems#{slug}" and answer.status_code == document["status"] == KINDS[slug].status
    assert document["title"] and document["detail"] and answer.headers["x-request-id"] in document["instance"]
    return document


def test_one_picture(make_app):
    answer = ask(make_app(), ("POST", "/v1/inspect", {"content": JPEG, "headers": IMAGE}))
    found = answer.json()
    assert answer.status_code == 200 and found["label"] == "scratches" and 0.8 < found["probability"] <= 1
    assert found["review"] is False and found["model"]["name"] == "steel" and "probabilities" not in found
    assert set(found["timing_ms"]) == {"queue", "decode", "infer", "total"}
    assert found["request_id"] == answer.headers["x-request-id"]


def test_all_probabilities_and_the_review_flag(make_app):
    request = ("POST", "/v1/inspect?probabilities=true", {"content": PNG, "headers": {"content-type": "image/png"}})
    found = ask(make_app(review_below=1.0), request).json()
    assert tuple(found["probabilities"]) == CLASSES and abs(sum(found["probabilities"].values()) - 1) < 1e-3
    assert found["review"] is True


def test_several_pictures_each_with_its_own_fate(make_app):
    files = [("images", ("a.jpg", JPEG)), ("images", ("../../etc/passwd", b"nonsense")), ("images", ("c", PNG))]
    answer = ask(make_app(), ("POST", "/v1/inspect", {"files": files}))
    rows = answer.json()["images"]
    assert answer.status_code == 200 and [row["index"] for row in rows] == [0, 1, 2]
    assert rows[0]["label"] == rows[2]["label"] == "scratches" and "label" not in rows[1]
    assert rows[1]["problem"]["type"] == "/problems#image-unsupported" and "passwd" not in answer.text


@pytest.mark.parametrize("given", ["true", "True", "1", "on", "yes", "false", "0", "banana", "", "tru%65"])
def test_a_query_means_the_same_for_a_picture_and_for_a_form(make_app, given):
    path = f"/v1/inspect?x=1&probabilities={given}"
    picture, form = ask(
        make_app(),
        ("POST", path, {"content": JPEG, "headers": IMAGE}),
        ("POST", path, {"files": [("images", JPEG)]}),
    )
    if picture.status_code == 200:
        row, found = form.json()["images"][0], picture.json()
        assert row.get("probabilities") == found.get("probabilities")
        assert ("probabilities" in found) is (given not in ("false", "0"))
    else:
        assert given in ("banana", "")
        assert problem(picture, "invalid-request")["errors"] == problem(form, "invalid-request")["errors"]


def test_only_a_whole_name_in_a_query_counts(make_app):
    request = {"content": JPEG, "headers": IMAGE}
    other, last = ask(
        make_app(),
        ("POST", "/v1/inspect?noprobabilities=true&x=probabilities=true", request),
        ("POST", "/v1/inspect?probabilities=true&probabilities=false", request),
    )
    assert "probabilities" not in other.json() and "probabilities" not in last.json()


def multipart(*files):
    """A form as bytes, and the header that belongs to it."""
    head = b'Content-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
    body = b"".join(b"--cut\r\n" + head + file + b"\r\n" for file in files) + b"--cut--\r\n"
    return body, {"content-type": "multipart/form-data; boundary=cut"}


@pytest.mark.parametrize("path", ["/v1/inspect", "/v1/jobs"])
def test_a_form_that_is_cut_off_is_refused_and_not_answered_in_part(make_app, path):
    body, headers = multipart(JPEG, JPEG)
    ends = [len(body) - 8, len(body) - 10, len(body) - len(JPEG) // 2, len(body) // 2, 20]
    whole, empty, *cut = ask(
        make_app(),
        ("POST", path, {"content": body[:-2], "headers": headers}),  # the last line break may be missing
        ("POST", path, {"content": b"", "headers": headers}),
        *(("POST", path, {"content": body[:end], "headers": headers}) for end in ends),
    )
    assert whole.status_code in (200, 202)
    problem(empty, "body-empty")
    for answer in cut:
        problem(answer, "malformed-request")


def test_a_form_needs_no_room_on_the_disk(make_app, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    large = pictures.encode(pictures.COLOUR.resize((800, 800)), "BMP")
    assert len(large) > 2**20
    body, headers = multipart(large, JPEG)
    answer = ask(make_app(), ("POST", "/v1/inspect", {"content": body, "headers": headers}))
    assert answer.status_code == 200 and all("label" in row for row in answer.json()["images"])


def test_a_form_that_we_cannot_take_is_our_fault(make_app, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("starlette.formparsers.SpooledTemporaryFile", full)
    problem(ask(make_app(), ("POST", "/v1/inspect", {"files": [("images", JPEG)]})), "internal")


@pytest.mark.parametrize("name", pictures.hostile())
def test_hostile_pictures_get_their_name(make_app, name):
    data, slug = pictures.hostile()[name]
    answer = ask(make_app(), ("POST", "/v1/inspect", {"content": data, "headers": IMAGE}))
    problem(answer, slug if data else "body-empty")


def test_requests_that_are_none(make_app):
    app = make_app(max_body_bytes=20_000, max_images=2)
    inspect = "/v1/inspect"
    answers = ask(
        app,
        ("POST", inspect, {"content": b"x" * 20_001, "headers": IMAGE}),
        ("POST", inspect, {"content": b"", "headers": IMAGE}),
        ("POST", inspect, {"content": b"{}", "headers": {"content-type": "application/json"}}),
        ("POST", inspect, {"files": [("images", JPEG[:1000])] * 3}),
        ("POST", inspect, {"content": b"nonsense", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
        ("POST", inspect, {"content": b"nonsense", "headers": {"content-type": "multipart/form-data"}}),
        ("POST", inspect, {"content": JPEG, "headers": {**IMAGE, "x-timeout-ms": "soon"}}),
        ("GET", inspect, {}),
        ("GET", "/v1/nothing", {}),
        ("GET", "/v1/jobs/nonsense", {}),
        ("GET", f"/v1/jobs/{'0' * 32}", {}),
    )
    slugs = ["body-too-large", "body-empty", "media-type-unsupported", "too-many-images", None, None]
    slugs += ["malformed-request", "method-not-allowed", "not-found", "invalid-request", "not-found"]
    for answer, slug in zip(answers, slugs, strict=True):
        if slug:
            problem(answer, slug)
        assert 400 <= answer.status_code < 500, answer.text


def test_request_ids_come_back_only_if_harmless(make_app):
    app = make_app()
    given, forged = ask(
        app,
        ("POST", "/v1/inspect", {"content": JPEG, "headers": {**IMAGE, "x-request-id": "coil-7.tile_3"}}),
        ("POST", "/v1/inspect", {"content": JPEG, "headers": {**IMAGE, "x-request-id": "a b<script>"}}),
    )
    assert given.headers["x-request-id"] == "coil-7.tile_3"
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", forged.headers["x-request-id"])


def test_overload_is_said_at_once(make_app, model, monkeypatch):
    app = make_app(latency_budget_ms=5)
    app.engine._cost = 0.01

    async def work():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await asyncio.gather(*(client.post("/v1/inspect", content=JPEG, headers=IMAGE) for _ in range(30)))

    answers = asyncio.run(work())
    codes = {answer.status_code for answer in answers}
    assert codes == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    problem(refused, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1


def test_keys_and_scopes(make_app, tmp_path):
    file = tmp_path / "keys.jsonl"
    camera, boss = auth.add(file, "camera"), auth.add(file, "boss", ("inspect", "admin"))
    assert camera not in file.read_text() and file.stat().st_mode & 0o077 == 0
    app = make_app(api_keys=file)
    none, wrong, right, other, denied, swapped, open_ = ask(
        app,
        ("POST", "/v1/inspect", {"content": JPEG, "headers": IMAGE}),
        ("POST", "/v1/inspect", {"content": JPEG, "headers": {**IMAGE, "x-api-key": camera[:-1] + "?"}}),
        ("POST", "/v1/inspect", {"content": JPEG, "headers": {**IMAGE, "authorization": f"Bearer {camera}"}}),
        ("GET", "/v2/models/steel", {"headers": {"x-api-key": camera}}),
        ("POST", "/v2/repository/models/steel/load", {"headers": {"x-api-key": camera}}),
        ("POST", "/v2/repository/models/steel/load", {"headers": {"x-api-key": boss}}),
        ("GET", "/readyz", {}),
    )
    problem(none, "unauthorized")
    problem(wrong, "unauthorized")
    assert right.status_code == other.status_code == open_.status_code == 200
    problem(denied, "forbidden")
    assert swapped.json() == {"name": "steel", "version": app.engine.model.version}
    with pytest.raises(ValueError, match="already"):
        auth.add(file, "camera")


def test_a_new_key_counts_and_a_broken_file_changes_nothing(tmp_path, monkeypatch):
    file = tmp_path / "keys.jsonl"
    first = auth.add(file, "first")
    keys = auth.Keys(file)
    second = auth.add(file, "second")
    monkeypatch.setattr(keys, "_next", 0.0)
    assert keys.identify({b"x-api-key": second.encode()}).name == "second"
    file.write_text("nonsense")
    monkeypatch.setattr(keys, "_next", 0.0)
    assert keys.identify({b"x-api-key": first.encode()}).name == "first"
    with pytest.raises(ValueError, match="line 1"):
        auth.read(file)


def test_rates_are_limited_by_caller_and_memory_is_bounded(make_app):
    app = make_app(rate_limit=2)
    answers = ask(app, *[("POST", "/v1/inspect", {"content": JPEG, "headers": IMAGE})] * 8)
    codes = [answer.status_code for answer in answers]
    assert codes[:4] == [200] * 4 and 429 in codes[4:]
    refused = answers[codes.index(429)]
    problem(refused, "rate-limited")
    assert int(refused.headers["retry-after"]) >= 1
    limiter = auth.Limiter(1, callers=10)
    for i in range(1000):
        limiter.take(f"caller {i}")
    assert len(limiter._buckets) <= 10


@pytest.mark.parametrize("rate", [0.3, 0.9995, 1, 7])
def test_who_waits_as_long_as_it_was_told_is_let_in(monkeypatch, rate):
    clock = [100.0]
    monkeypatch.setattr(auth.time, "monotonic", lambda: clock[0])
    limiter = auth.Limiter(rate)
    for _ in range(40):
        try:
            limiter.take("camera")
        except ServiceError as refused:
            clock[0] += int(refused.headers["Retry-After"])
            limiter.take("camera")


# --- Open Inference Protocol -------------------------------------------------------------------------------


def tensor(images, **more):
    return {
        "inputs": [
            {"name": "pixels", "shape": list(images.shape), "datatype": "UINT8", "data": images.ravel().tolist()}
        ],
        **more,
    }


def test_tensors_as_json(make_app, model):
    images = tiles("test", 3).images
    app = make_app()
    answer = ask(app, ("POST", "/v2/models/steel/infer", {"json": tensor(images, id="seven")}))
    found = answer.json()
    assert found["id"] == "seven" and found["outputs"][0]["shape"] == [3, 7]
    assert np.allclose(np.reshape(found["outputs"][0]["data"], (3, 7)), model.run(images), atol=1e-4)
    floats = tensor(images)
    floats["inputs"][0] |= {"datatype": "FP32"}
    again = ask(app, ("POST", f"/v2/models/steel/versions/{model.version}/infer", {"json": floats})).json()
    assert np.allclose(again["outputs"][0]["data"], found["outputs"][0]["data"], atol=1e-4)


@pytest.mark.parametrize(
    ("change", "slug"),
    [
        ({"name": "x"}, "invalid-request"), ({"datatype": "INT64"}, "invalid-request"),
        ({"shape": [1, 96, 96]}, "invalid-request"), ({"shape": [0, 1, 96, 96]}, "invalid-request"),
        ({"shape": [10**9, 1, 96, 96]}, "too-many-images"), ({"data": [1, 2]}, "invalid-request"),
        ({"data": None}, "invalid-request"), ({"data": ["a"] * 9216}, "invalid-request"),
        ({"data": [256] * 9216}, "invalid-request"), ({"data": [-1] * 9216}, "invalid-request"),
        ({"data": [1.5] * 9216}, "invalid-request"), ({"data": [[1], [2, 3]]}, "invalid-request"),
        ({"datatype": "FP32", "data": [1e30] * 9216}, "invalid-request"),
        ({"parameters": {"binary_data_size": 5}}, "invalid-request"), ({"shape": ["a"]}, "invalid-request"),
    ],
)  # fmt: skip
def test_wrong_tensors(make_app, change, slug):
    request = tensor(np.zeros((1, 1, 96, 96), np.uint8))
    request["inputs"][0] |= change
    problem(ask(make_app(), ("POST", "/v2/models/steel/infer", {"json": request})), slug)


def test_wrong_documents_and_names(make_app):
    app = make_app()
    path = "/v2/models/steel/infer"
    good = tensor(np.zeros((1, 1, 96, 96), np.uint8))
    for body in (b"", b"{", b"[]", b"null", b'{"inputs": []}', b'{"inputs": [1]}', b"[" * 5000, b"\xff"):
        problem(ask(app, ("POST", path, {"content": body})), "invalid-request")
    problem(ask(app, ("POST", path, {"json": {**good, "outputs": [{"name": "boxes"}]}})), "invalid-request")
    problem(
        ask(app, ("POST", path, {"content": b"{}", "headers": {"inference-header-content-length": "99"}})),
        "malformed-request",
    )
    problem(ask(app, ("POST", "/v2/models/other/infer", {"json": good})), "not-found")
    problem(ask(app, ("GET", "/v2/models/steel/versions/0", {})), "not-found")
    assert ask(app, ("GET", "/v2/health/ready", {})).json() == {"ready": True}
    assert ask(app, ("GET", "/v2", {})).json()["name"] == "cvprod"


# --- frames ------------------------------------------------------------------------------------------------


def test_frames_in_order(make_app):
    with TestClient(make_app()).websocket_connect("/v1/stream?policy=all") as socket:
        for frame in (JPEG, b"nonsense", PNG):
            socket.send_bytes(frame)
        answers = [socket.receive_json() for _ in range(3)]
    assert [a["frame"] for a in answers] == [0, 1, 2]
    assert answers[0]["label"] == answers[2]["label"] == "scratches"
    assert answers[1]["problem"]["type"] == "/problems#image-unsupported"


def test_only_the_newest_frame_counts(make_app):
    app = make_app()
    honest = app.engine.inspect

    async def slowly(*args, **options):
        await asyncio.sleep(0.05)
        return await honest(*args, **options)

    app.engine.inspect = slowly
    with TestClient(app).websocket_connect("/v1/stream") as socket:
        for _ in range(20):
            socket.send_bytes(JPEG)
        answers = [socket.receive_json() for _ in range(20)]
    assert sorted(a["frame"] for a in answers) == list(range(20))
    dropped = [a["frame"] for a in answers if a.get("dropped")]
    assert len(dropped) >= 15 and 19 not in dropped and 0 not in dropped


def test_streams_are_closed_with_a_reason(make_app, tmp_path):
    app = make_app(max_body_bytes=2000)
    with TestClient(app).websocket_connect("/v1/stream") as socket:
        socket.send_bytes(b"x" * 3000)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1009
    with TestClient(app).websocket_connect("/v1/stream") as socket:
        socket.send_text("hello")
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
    assert closed.value.code == 1003
    auth.add(tmp_path / "keys", "camera")
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        TestClient(make_app(api_keys=tmp_path / "keys")).websocket_connect("/v1/stream"),
    ):
        pass
    assert closed.value.code == 1008


# --- jobs --------------------------------------------------------------------------------------------------


def finish(app):
    """Work on the jobs until none is left."""

    async def work():
        runner = asyncio.create_task(Runner(app, app.jobs).run())
        until = time.monotonic() + 20
        while list(app.jobs.open_jobs()) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        runner.cancel()

    asyncio.run(work())


def test_a_job_from_start_to_end(make_app):
    app = make_app()
    files = [("images", JPEG), ("images", b"nonsense"), ("images", PNG)]
    made = ask(app, ("POST", "/v1/jobs", {"files": files, "headers": {"idempotency-key": "coil 7"}}))
    assert made.status_code == 202 and made.json()["status"] == "queued" and made.json()["images"] == 3
    place = made.headers["location"]
    again, other = ask(
        app,
        ("POST", "/v1/jobs", {"files": files, "headers": {"idempotency-key": "coil 7"}}),
        ("POST", "/v1/jobs", {"files": files[:1], "headers": {"idempotency-key": "coil 7"}}),
    )
    assert again.status_code == 200 and again.headers["location"] == place
    problem(other, "conflict")
    finish(app)
    status, results = ask(app, ("GET", place, {}), ("GET", f"{place}/results", {}))
    assert status.json()["status"] == "done" and status.json()["done"] == 3
    rows = [json.loads(line) for line in results.text.splitlines()]
    assert [row["index"] for row in rows] == [0, 1, 2] and rows[2]["label"] == "scratches"
    assert rows[1]["problem"]["type"] == "/problems#image-unsupported"
    gone, missing = ask(app, ("DELETE", place, {}), ("GET", place, {}))
    assert gone.status_code == 204
    problem(missing, "not-found")


def test_finished_jobs_are_not_read_again(make_app, monkeypatch):
    app = make_app()
    place = ask(app, ("POST", "/v1/jobs", {"files": [("images", JPEG)] * 2})).headers["location"]
    finish(app)
    folder = app.jobs.folder / place.rsplit("/", 1)[1]
    assert (folder / "done").exists()
    (folder / "done").unlink()  # who did the last picture died right after it
    assert app.jobs.open_jobs() == [] and (folder / "done").exists()
    monkeypatch.setattr(app.jobs, "describe", lambda job: pytest.fail("read again"))
    assert app.jobs.open_jobs() == []


def test_a_service_that_leaves_the_work_to_others_still_takes_jobs_and_tells_of_them(make_app, tmp_path):
    canary, stable = (make_app(jobs=tmp_path / "jobs", work_on_jobs=works) for works in (False, True))
    place = ask(canary, ("POST", "/v1/jobs", {"files": [("images", JPEG)] * 2})).headers["location"]
    asyncio.run(asyncio.wait_for(Runner(canary, canary.jobs).run(), 5))  # has nothing to do
    assert ask(canary, ("GET", place, {})).json()["status"] == "queued"
    finish(stable)
    assert ask(canary, ("GET", place, {})).json()["status"] == "done"


def test_a_job_goes_on_behind_the_last_whole_line(make_app):
    app = make_app()
    place = ask(app, ("POST", "/v1/jobs", {"files": [("images", JPEG)] * 3})).headers["location"]
    results = app.jobs.folder / place.rsplit("/", 1)[1] / "results.ndjson"
    results.write_text('{"index":0,"label":"from before"}\n{"index":1,"lab')
    finish(app)
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert [row["index"] for row in rows] == [0, 1, 2] and rows[0]["label"] == "from before"


# --- operation ---------------------------------------------------------------------------------------------


def test_pages_load_nothing_from_elsewhere(make_app):
    app = make_app()
    for path in ("/docs", "/problems"):
        text = ask(app, ("GET", path, {})).text
        assert not re.search(r'(src|href)="(https?:)?//', text) and "<script" not in text
    explained = ask(app, ("GET", "/problems", {})).text
    assert all(f'id="{slug}"' in explained for slug in KINDS)
    assert "/v1/inspect" in ask(app, ("GET", "/docs", {})).text


def test_metrics_count_what_happened(make_app):
    app = make_app()
    ask(
        app,
        ("POST", "/v1/inspect", {"content": JPEG, "headers": IMAGE}),
        ("POST", "/v1/inspect", {"content": b"x", "headers": IMAGE}),
    )
    text = ask(app, ("GET", "/metrics", {})).text
    for part in ('route="/v1/inspect"', 'code="200"', 'code="415"', 'reason="image-unsupported"', 'label="scratches"'):
        assert part in text
    assert "nothing" not in text


def test_a_draining_service_is_alive_but_not_ready(make_app):
    app = make_app()
    app.engine.draining = True
    alive, ready, inspect = ask(
        app,
        ("GET", "/healthz", {}),
        ("GET", "/readyz", {}),
        ("POST", "/v1/inspect", {"content": JPEG, "headers": IMAGE}),
    )
    assert alive.status_code == 200 and ready.status_code == 503
    problem(inspect, "draining")


def test_a_fault_of_ours_says_nothing_of_our_insides(make_app, caplog):
    app = make_app()

    async def broken(*args, **options):
        raise RuntimeError("secret /path/of/ours")

    app.engine.inspect = app.engine.infer = broken
    blank = tensor(np.zeros((1, 1, 96, 96), np.uint8))
    for request in (
        ("POST", "/v1/inspect", {"content": JPEG, "headers": IMAGE}),
        ("POST", "/v2/models/steel/infer", {"json": blank}),
    ):
        answer = ask(app, request)
        assert "secret" not in answer.text and "Traceback" not in answer.text
        problem(answer, "internal")
