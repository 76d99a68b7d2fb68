"""The short way of one plain picture: taken only by what means the same to the parser, answered with the words of the
normal way, refused at the door when there is no room."""

import contextlib
import io
import json
import random
import socket
import time

import httptools
import psutil
import pytest

from cvprod.serving.api import plain, shedding
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
    head = plain.parse(request(*lines))
    assert request(*lines)[head.size :] == JPEG and head.length == len(JPEG) and head.query == b""
    assert set(head.headers) == {b"host", b"content-length"} | {
        line.partition(":")[0].lower().encode() for line in lines
    }
    head = plain.parse(request(*lines, first="POST /v1/inspect?probabilities=true HTTP/1.1"))
    assert head.query == b"probabilities=true"


UNUSUAL = [
    request(first="POST /v1/inspect HTTP/1.0"),
    request(first="POST /v1/inspector HTTP/1.1"),
    request(first="GET /v1/inspect HTTP/1.1"),
    request(first="POST /v1/inspect?q HTTP/1.0"),
    request(first="POST  /v1/inspect HTTP/1.1"),
    request(first="POST /v1/inspect?a#b HTTP/1.1"),
    request("Transfer-Encoding: chunked"),
    request("Expect: 100-continue"),
    request("Connection: close"),
    request("Connection: keep-alive, upgrade"),
    request("Upgrade: websocket"),
    request("Content-Encoding: gzip"),
    request("X-Second-Try: 1"),
    request("Trailer: X"),
    request("content-type:multipart/form-data; boundary=x"),
    request("Content-Length: 3"),
    request("Accept: a", "accept: b"),
    request().replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n", 1),
    request("X: a\nTransfer-Encoding: chunked"),
    request("X: a\rTransfer-Encoding: chunked"),
    request("X: a\r\n Transfer-Encoding: chunked"),
    request("X : a"),
    request(" X: a"),
    request("X"),
    request(": a"),
    request("X: a\0b"),
    request(length="+3"),
    request(length="0x3"),
    request(length="3, 3"),
    request(length=""),
    request(length="1" * 10),
    request()[:40],
    b"\r\n" + request(),
    b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/inspect HTTP/1.1\r\n\r\n",
    request("X: " + "y" * plain.HEAD),
    b"",
    b"\x16\x03\x01\x02\x00",
]


@pytest.mark.parametrize("data", UNUSUAL)
def test_whatever_is_unusual_goes_the_normal_way(data):
    assert plain.parse(data) is None


class Parsed:
    """What the HTTP parser makes of a request."""

    def __init__(self, data):
        self.url, self.headers, self.body, self.complete = b"", [], b"", 0
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        self.keep_alive, self.method = parser.should_keep_alive(), parser.get_method()

    def on_url(self, url):
        self.url += url

    def on_header(self, name, value):
        self.headers.append((name.lower(), value.strip(b" \t")))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.complete += 1


def test_what_is_taken_means_the_same_to_the_parser():
    draw = random.Random(17)
    pieces = [
        b"\r",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\x7f",
        b"\xff",
        b",",
        b";",
        b"0",
        b"X",
        b"chunked",
        b"close",
    ]
    pieces += [
        b"\r\nTransfer-Encoding: chunked",
        b"\r\nContent-Length: 2",
        b"\r\n folded",
        b"\x0b",
        b"\x85",
        b"#",
        b"%00",
    ]
    seeds = [request("X-Request-Id: a", body=b"abcd"), request("Accept: */*", "Connection: keep-alive", body=b"abcd")]
    seeds += [request(first="POST /v1/inspect?probabilities=true HTTP/1.1", body=b"abcd")]
    taken = 0
    for _ in range(20_000):
        data = draw.choice(seeds)
        for _ in range(draw.randint(1, 2)):
            place = draw.randrange(len(data.partition(b"abcd")[0]))
            data = data[:place] + draw.choice(pieces) + data[place + draw.choice((0, 0, 1)) :]
        head = plain.parse(data)
        if head is None:
            continue
        taken += 1
        whole = data[: head.size + head.length]
        if len(whole) < head.size + head.length:
            continue
        seen = Parsed(whole)
        assert seen.complete == 1 and seen.method == b"POST" and seen.keep_alive
        assert seen.body == whole[head.size :] and dict(seen.headers) == head.headers
        assert seen.url.partition(b"?")[::2] == (b"/v1/inspect", head.query)
    assert taken > 1000


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
    assert plain.parse(request("X-Request-ID: coil-7")).request_id() == "coil-7"
    for bad in ("a b", "x" * 65, 'a"b', ""):
        assert plain.parse(request(f"X-Request-ID: {bad}")).request_id() == ""


@pytest.fixture(scope="module")
def one():
    # A budget so short that any two at a time are too many.
    with Service("--workers", 1, "--latency-budget-ms", "0.1", "--log-format", "json") as service:
        yield service


@pytest.fixture(scope="module")
def calm():
    with Service("--workers", 1, "--latency-budget-ms", "1000", "--max-body-bytes", "400000") as service:
        yield service


def both_ways(service, *lines, body=JPEG, **options):
    """Status, headers and document of the same request by the short way and by the normal one."""
    answers = []
    for more in ((), ("Accept: a", "accept: b")):  # what names a header twice is not plain
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
            raw.sendall(request("X-Request-Id: same", *lines, *more, body=body, **options))
            status, headers, text = answer_of(raw.makefile("rb"))
        document = json.loads(text)
        document.pop("timing_ms", None)
        answers.append((status, {k: v for k, v in headers.items() if k not in ("date", "content-length")}, document))
    return answers


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


@pytest.mark.parametrize(
    ("lines", "options", "status"),
    [
        ((), {}, 200),
        (("Content-Type: image/jpeg", "X-Timeout-Ms: 5000"), {}, 200),
        ((), {"first": "POST /v1/inspect?probabilities=true HTTP/1.1"}, 200),
        ((), {"first": "POST /v1/inspect?probabilities=perhaps HTTP/1.1"}, 422),
        ((), {"body": b""}, 400),
        ((), {"body": JPEG[:-20]}, 422),
        ((), {"body": b"GIF89a" + bytes(100)}, 415),
        ((), {"body": hostile.encode(hostile.GREY, "BMP")}, 200),
        ((), {"body": b"\0" * 400_001}, 413),
        (("Content-Type: text/plain",), {}, 415),
        (("X-Timeout-Ms: soon",), {}, 400),
    ],
)
def test_both_ways_give_the_same_answer(calm, lines, options, status):
    short, normal = both_ways(calm, *lines, **options)
    assert short == normal and short[0] == status


def test_a_picture_in_pieces_is_one_picture(calm):
    data = request("X-Request-Id: in-pieces")
    head = data.index(b"\r\n\r\n") + 4
    with socket.create_connection(("127.0.0.1", calm.port), timeout=20) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        file = raw.makefile("rb")
        for cuts in ((head,), (head, head + 1), (head + 7, len(data) - 1), (head - 2,), (3, head + 9)):
            for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
                raw.sendall(data[start:end])
                time.sleep(0.02)
            status, headers, _ = answer_of(file)
            assert status == 200 and headers["x-request-id"] == "in-pieces"
        raw.sendall(data[: head + 5])
        time.sleep(0.02)
        raw.sendall(data[head + 5 :] + request("X-Request-Id: behind"))  # the rest, and another one with it
        assert [answer_of(file)[1]["x-request-id"] for _ in range(2)] == ["in-pieces", "behind"]


def test_a_picture_that_stops_coming_ends_the_connection():
    with (
        Service("--workers", 1, "--read-seconds", "1") as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw,
    ):
        begun = time.monotonic()
        raw.sendall(request()[:-5])
        assert raw.recv(100) == b"" and 0.5 < time.monotonic() - begun < 5


def test_a_picture_that_is_still_coming_is_answered_while_the_service_drains():
    with Service("--workers", 1, "--drain-seconds", "10") as service:
        data = request("X-Request-Id: late")
        with socket.create_connection(("127.0.0.1", service.port), timeout=20) as raw:
            raw.sendall(data[:-5])
            time.sleep(0.2)
            service.process.terminate()
            time.sleep(0.5)
            raw.sendall(data[-5:])
            status, headers, _ = answer_of(raw.makefile("rb"))
            assert status == 200 and headers["connection"] == "close"
