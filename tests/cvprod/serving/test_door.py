"""Refusals at the door: only of what is surely one plain picture, and with the words of the normal way."""

import contextlib
import io
import json
import socket

import psutil
import pytest

from cvprod.serving.api import shedding
from cvprod.serving.errors import Overloaded
from cvprod.stack.service import Service, worker_pids
from cvprod.traffic import hostile, http_load

from .conftest import metrics

JPEG = hostile.encode(hostile.GREY, "JPEG", quality=90)


def request(*lines, first="POST /v1/inspect HTTP/1.1", body=JPEG, length=None):
    head = [first, "Host: x", *lines, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "lines",
    [(), ("Content-Type: image/jpeg", "X-Request-Id: a-1"), ("connection:  Keep-Alive ",), ("X-Api-Key: secret",)],
)
def test_one_plain_picture_is_known(lines):
    assert shedding.plain(request(*lines)) is not None
    assert shedding.plain(request(*lines, first="POST /v1/inspect?probabilities=true HTTP/1.1")) is not None


@pytest.mark.parametrize(
    "data",
    [
        request(first="POST /v1/inspect HTTP/1.0"),
        request(first="POST /v1/inspector HTTP/1.1"),
        request(first="GET /v1/inspect HTTP/1.1"),
        request(first="POST /v1/inspect?q HTTP/1.0"),
        request("Transfer-Encoding: chunked"),
        request("Expect: 100-continue"),
        request("Connection: close"),
        request("Connection: keep-alive, upgrade"),
        request("Upgrade: websocket"),
        request("content-type:multipart/form-data; boundary=x"),
        request("Content-Length: 3"),
        request().replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n", 1),
        request("X: a\nTransfer-Encoding: chunked"),
        request(length="+3"),
        request(length=len(JPEG) + 1),
        request(length=len(JPEG) - 1),
        request() + request(),
        request()[:-1],
        request()[:40],
        b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\n\r\n",
        request("X: " + "y" * shedding.HEAD),
        b"",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_whatever_is_unusual_goes_the_normal_way(data):
    assert shedding.plain(data) is None


def answer_of(file):
    """Status, headers and body of the next answer."""
    status, headers = int(file.readline().split()[1]), {}
    while (line := file.readline().strip()) != b"":
        key, _, value = line.decode().partition(": ")
        headers[key.lower()] = value
    return status, headers, file.read(int(headers["content-length"]))


def test_the_refusal_is_the_one_of_the_normal_way():
    raw = io.BytesIO(shedding.refusal(b"coil-7.tile", 2.3, [(b"x-content-type-options", b"nosniff")]))
    status, headers, body = answer_of(raw)
    problem = Overloaded(2.3)
    assert status == problem.status == 429 and headers["content-type"] == "application/problem+json"
    assert {int(headers["retry-after"]), int(problem.headers["Retry-After"])} <= {3, 4, 5}  # spread by chance
    assert headers["x-request-id"] == "coil-7.tile" and headers["x-content-type-options"] == "nosniff"
    assert body == problem.body("coil-7.tile") and raw.read() == b""


def test_a_name_is_taken_only_if_it_is_a_name():
    assert shedding.request_id(request("X-Request-ID: coil-7")) == b"coil-7"
    for bad in ("a b", "x" * 65, 'a"b', ""):
        assert shedding.request_id(request(f"X-Request-ID: {bad}")) == b""


@pytest.fixture(scope="module")
def one():
    # A budget so short that any two at a time are too many.
    with Service("--workers", 1, "--latency-budget-ms", "0.1", "--log-format", "json") as service:
        yield service


def counted(service, code):
    return metrics(service).get(f'cvprod_requests_total{{code="{code}",route="/v1/inspect"}}', 0)


def test_every_refusal_is_an_answer_that_is_counted(one):
    before = counted(one, 200), counted(one, 429)
    seen = http_load.measure(one.address + "/v1/inspect", [JPEG], connections=24, seconds=1.5)
    assert set(seen.status) == {200, 429} and (seen.status == 429).sum() > 100
    after = counted(one, 200), counted(one, 429)
    assert [b - a for a, b in zip(before, after, strict=True)] == [(seen.status == code).sum() for code in (200, 429)]


def test_who_sends_and_never_reads_fills_no_memory(one):
    (worker,) = (psutil.Process(pid) for pid in worker_pids(one))
    load = http_load.start(one.address + "/v1/inspect", [JPEG], connections=16, seconds=4)
    before, wire = worker.memory_info().rss, request() * 20
    with socket.create_connection(("127.0.0.1", one.port), timeout=0.5) as raw, contextlib.suppress(TimeoutError):
        for _ in range(5000):  # as many answers as would take 40 MB, if they were all kept
            raw.sendall(wire)
    assert set(load.result().status) <= {200, 429}
    assert worker.memory_info().rss < before + 20e6


@pytest.mark.parametrize("cut", ["in the head", "after the head"])
def test_the_rest_of_a_request_that_looks_like_a_whole_one_is_none(one, cut):
    load = http_load.start(one.address + "/v1/inspect", [JPEG], connections=24, seconds=3)
    hidden = request("X-Request-Id: hidden")
    outer = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: "
    if cut == "after the head":
        outer += b"y\r\nContent-Length: %d\r\n\r\n" % len(hidden)
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", one.port), timeout=20) as raw:
            file = raw.makefile("rb")
            raw.sendall(request("X-Request-Id: first") + outer)  # the second begins in one piece with the first
            assert answer_of(file)[1]["x-request-id"] == "first"
            raw.sendall(hidden)
            assert json.loads(answer_of(file)[2]) == {"status": "alive"}
            raw.sendall(request("X-Request-Id: last"))
            assert answer_of(file)[1]["x-request-id"] == "last"
    assert 429 in load.result().status


def test_a_connection_goes_on_after_a_refusal_with_names_bodies_and_order_right(one):
    load = http_load.start(one.address + "/v1/inspect", [JPEG], connections=16, seconds=3)
    refused = 0
    with socket.create_connection(("127.0.0.1", one.port), timeout=20) as raw:
        file = raw.makefile("rb")
        for number in range(200):
            # One whole request, one in two pieces, two at once: the first way may be refused at the door.
            names = [f"n-{number}"] if number % 3 else [f"n-{number}", f"m-{number}"]
            data = b"".join(request("Content-Type: image/jpeg", f"X-Request-Id: {name}") for name in names)
            raw.sendall(data[:50] if number % 2 else data)
            if number % 2:
                raw.sendall(data[50:])
            for name in names:
                status, headers, body = answer_of(file)
                body = json.loads(body)
                assert status in (200, 429) and headers["x-request-id"] == name
                assert body["request_id"] == name if status == 200 else body["instance"].endswith(name)
                refused += status == 429
    assert refused > 0 and set(load.result().status) <= {200, 429}
