"""The gates' service over real HTTP, asked as Flagger and Prometheus ask."""

import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cvprod.rollout import gates, server

HOOK = {"name": "inspection", "namespace": "inspection", "phase": "Progressing", "checksum": "85d557f47b"}


@pytest.fixture
def address():
    """Host and port of a fresh service."""
    running = server.make_server(server.Bench(lambda: gates.standard(0.01)))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running.server_address
    running.shutdown()
    running.server_close()


@pytest.fixture
def ask(address):
    """A function (path, body) -> (status, text) of the service."""
    place = "http://{}:{}".format(*address)

    def asked(path, body=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(place + path, data), timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return asked


def lines(n, start=0, **canary):
    answer = {"status": 200, "label": "clean", "seconds": 0.002}
    rows = [{"id": str(start + i), "stable": answer, "canary": answer | canary} for i in range(n)]
    return "\n".join(map(json.dumps, rows)).encode()


def values(text):
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name, *sorted(sample.labels.items())] = sample.value
    return found


def test_nobody_gets_permission_without_evidence(ask):
    assert ask("/gate/promote", HOOK)[0] == 409 and ask("/gate/rollback", HOOK)[0] == 409
    ask("/gate/begin", HOOK)
    status, why = ask("/gate/promote", HOOK)
    assert status == 409 and why.startswith("hold: ") and "no data" in why


def test_evidence_that_is_missing_is_missing_and_not_zero(ask):
    assert "cvprod_rollout_evidence" not in ask("/metrics")[1]
    ask("/pairs", lines(10))
    told = values(ask("/metrics")[1])
    assert told["cvprod_rollout_evidence", ("claim", "harmless"), ("gate", "quality")] > 1
    assert told["cvprod_rollout_evidence_needed", ("claim", "worse"), ("gate", "quality")] == pytest.approx(60)
    assert told["cvprod_rollout_pairs", ("gate", "latency")] == 10


def test_a_good_canary_is_promoted_and_only_that_one(ask):
    ask("/gate/begin", HOOK)
    ask("/pairs", lines(400))
    assert ask("/gate/promote", HOOK)[0] == 200 and ask("/gate/rollback", HOOK)[0] == 409
    assert ask("/gate/promote", HOOK | {"checksum": "next"})[0] == 409
    assert ask("/gate/begin", HOOK)[0] == 200 and ask("/gate/promote", HOOK)[0] == 200, "asked again, nothing is lost"
    ask("/gate/begin", HOOK | {"checksum": "next"})
    assert ask("/gate/promote", HOOK)[0] == 409 and ask("/gate/promote", HOOK | {"checksum": "next"})[0] == 409


def test_a_bad_canary_is_rolled_back_once_its_labels_are_there(ask):
    ask("/gate/begin", HOOK)
    ask("/pairs", lines(40, label="scratches"))
    assert ask("/gate/rollback", HOOK)[0] == 409, "who is right, nobody knows yet"
    truths = "\n".join(json.dumps({"id": str(i), "truth": "clean"}) for i in range(45)).encode()
    assert ask("/labels", truths) == (200, "40\n")
    status, why = ask("/gate/rollback", HOOK)
    assert status == 200 and why.startswith("stop: quality: worse")
    told = values(ask("/metrics")[1])
    evidence, needed = (
        told[f"cvprod_rollout_evidence{end}", ("claim", "worse"), ("gate", "quality")] for end in ("", "_needed")
    )
    assert evidence / needed > 1, "what the MetricTemplate divides"


def test_a_retry_counts_once_and_a_label_cannot_be_changed(ask):
    for _ in range(5):
        ask("/pairs", lines(10, label="scratches"))
    ask("/labels", json.dumps({"id": "0", "truth": "scratches"}).encode())
    ask("/labels", json.dumps({"id": "0", "truth": "clean"}).encode())
    told = values(ask("/metrics")[1])
    assert told["cvprod_rollout_pairs", ("gate", "failures")] == 10
    assert told["cvprod_rollout_evidence", ("claim", "worse"), ("gate", "quality")] == 1


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"id": ""}', lines(1, status=900), lines(1, extra=1), lines(1) + b"\n{}", b'{"id": "1"}'],
)
def test_what_is_no_pair_is_refused_whole(ask, body):
    status, why = ask("/pairs", body)
    assert status == 422 and why.strip()
    assert values(ask("/metrics")[1])["cvprod_rollout_pairs", ("gate", "failures")] == 0


def test_other_wrong_requests(ask):
    assert ask("/nowhere", b"")[0] == ask("/nowhere")[0] == 404
    assert ask("/gate/begin", b"")[0] == ask("/gate/begin", b"[]")[0] == ask("/gate/begin", b"{")[0] == 422
    assert ask("/gate/begin", b"[" * 100_000)[0] == 422
    assert ask("/healthz") == (200, "alive\n")


@pytest.mark.parametrize("size", [1, 8_000_000])
def test_a_caller_who_sends_too_much_reads_the_refusal(ask, size):
    for _ in range(10):
        assert ask("/pairs", b"x" * (server.MOST_BYTES + size))[0] == 413


@pytest.mark.parametrize(
    ("head", "status"),
    [("", 411), ("Content-Length: \u00b2\r\n", 411), ("Content-Length: -1\r\n", 411),
     ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", 411), ("Content-Length: 0\r\nTransfer-Encoding:\r\n", 411),
     ("Content-Length: 0\r\nContent-Length: 3\r\n", 411), (f"Content-Length: {'9' * 5000}\r\n", 413)],
)  # fmt: skip
def test_a_body_of_no_known_length_is_refused(address, head, status):
    with socket.create_connection(address, timeout=10) as caller:
        caller.sendall(f"POST /pairs HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode("latin-1"))
        caller.shutdown(socket.SHUT_WR)
        assert caller.makefile("rb").read().startswith(f"HTTP/1.1 {status} ".encode())


def test_pairs_of_a_caller_who_broke_off_do_not_count(address, ask):
    whole = lines(2)
    with socket.create_connection(address, timeout=10) as caller:  # cut where the first line ends, so that it is JSON
        half = whole[: whole.index(b"\n") + 1]
        caller.sendall(f"POST /pairs HTTP/1.1\r\nHost: x\r\nContent-Length: {len(whole)}\r\n\r\n".encode() + half)
        caller.shutdown(socket.SHUT_WR)
        assert caller.makefile("rb").read() == b""
    assert values(ask("/metrics")[1])["cvprod_rollout_pairs", ("gate", "failures")] == 0


@pytest.mark.parametrize("head", ["GET /healthz HTTP/1.1\r\n", "GET /nowhere HTTP/1.1\r\n"])
@pytest.mark.parametrize("framing", ["Content-Length: {}\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"])
def test_what_is_in_the_body_of_a_get_is_no_request(address, ask, head, framing):
    ask("/gate/begin", HOOK)
    other = json.dumps({"checksum": "another"})
    hidden = f"POST /gate/begin HTTP/1.1\r\nHost: x\r\nContent-Length: {len(other)}\r\n\r\n{other}"
    with socket.create_connection(address, timeout=10) as caller:
        caller.sendall((head + "Host: x\r\n" + framing.format(len(hidden)) + hidden).encode())
        caller.shutdown(socket.SHUT_WR)
        answer = caller.makefile("rb").read()
    assert answer.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in answer
    assert "the evidence is about" not in ask("/gate/promote", HOOK)[1]


@pytest.fixture
def start():
    """Start the command, with SIGINT ignored as in a shell's background. What still runs at the end is killed."""
    running = []

    def go(*options):
        command = [sys.executable, "-m", "cvprod.rollout", "serve", *options]
        ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
        running.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=ignore)
        )
        return running[-1]

    yield go
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(start, number):
    """In a container it is process 1, to which the kernel gives no signal that it does not handle."""
    running = start("--port", "0")
    assert running.stdout.readline().startswith("Gates at http://127.0.0.1:")
    running.send_signal(number)
    assert running.wait(20) == 0 and running.stderr.read() == ""


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_that_is_none_is_said_in_a_sentence(start, port):
    running = start("--port", port)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 2 and said.startswith(f"--host 127.0.0.1 --port {port}: ") and said.count("\n") == 1


def test_ipv6():
    try:
        running = server.make_server(server.Bench(lambda: gates.standard(0.01)), "::1")
    except OSError:
        pytest.skip("this machine has no IPv6")
    threading.Thread(target=running.serve_forever, daemon=True).start()
    with urllib.request.urlopen(f"http://[::1]:{running.server_address[1]}/healthz", timeout=10) as answer:
        assert answer.read() == b"alive\n"
    running.shutdown()
    running.server_close()
