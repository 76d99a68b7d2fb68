"""The shadow and the audit against real HTTP servers, one of them slow, one broken, and against the real service."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from cvprod.rollout import audit, shadow
from cvprod.rollout.gates import Answer, Decision, Gate, wrong
from cvprod.serving.settings import SettingsError
from cvprod.stack.service import Service
from cvprod.traffic import hostile

PICTURE = hostile.encode(hostile.GREY, "JPEG")


class Model:
    """A server of /v1/inspect that says `label`, after `seconds`."""

    def __init__(self, label="clean", seconds=0.0, body=None, status=200):
        outer = self
        self.asked, self.label = [], label

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                outer.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(seconds)
                text = body if body is not None else json.dumps({"label": outer.label}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_a_report_counts_what_differs_and_keeps_it_for_labelling():
    with Model("scratches") as other, shadow.Shadow(other.address) as ghost:
        for label in ["clean"] * 6 + ["scratches"] * 14:
            assert ghost.offer(PICTURE, label, 0.001)
            time.sleep(0.002)
        report = ghost.settle()
        assert report.table == {("clean", "scratches"): 6, ("scratches", "scratches"): 14}
        assert report.disagreement == 0.3 and report.interval[0] < 0.3 < report.interval[1]
        assert len(ghost.disputed) == 6 and ghost.disputed[0][0] == PICTURE and len(report.seconds) == 20
        pairs = ghost.pairs(patience=0.05)
        assert sum(next(pairs) is not None for _ in range(20)) == 20 and next(pairs) is None


def test_a_slow_shadow_costs_copies_and_no_time():
    with Model(seconds=0.2) as slow, shadow.Shadow(slow.address, room=4) as ghost:
        began = time.monotonic()
        taken = sum(ghost.offer(PICTURE, "clean") for _ in range(200))
        assert time.monotonic() - began < 0.2  # all 200 offers take less than one of its answers
        assert taken <= 6 and ghost.report.dropped == 200 - taken


@pytest.mark.parametrize(
    "kind",
    [
        {"status": 500},
        *({"body": body} for body in (b"no json", b"[]", b"{}", b"\xff", b"[" * 100_000)),
        *({"body": b'{"label": %b}' % label} for label in (b"[]", b"{}", b"null", b"1")),
    ],
)
def test_a_broken_shadow_is_counted_and_survived(kind):
    with Model(**kind) as broken, shadow.Shadow(broken.address) as ghost:
        for _ in range(5):
            ghost.offer(PICTURE, "clean")
        report = ghost.settle()
        assert report.failed == 5 and report.answered == 0 and np.isnan(report.disagreement)


def test_no_shadow_at_all():
    with shadow.Shadow("http://127.0.0.1:9", timeout=0.5) as ghost:
        ghost.offer(PICTURE, "clean")
        assert ghost.settle().failed == 1
    for address in ("127.0.0.1:9", "https://127.0.0.1", "http://"):
        with pytest.raises(ValueError, match="address of a service"):
            shadow.Shadow(address)


def test_a_port_that_is_none_is_said_to_the_operator():
    with pytest.raises(SettingsError, match=r"--shadow http://127\.0\.0\.1:99999: .*0-65535"):
        shadow.attach(SimpleNamespace(watchers=[]), "http://127.0.0.1:99999")


def test_an_audit_asks_both_in_turns_and_gates_read_its_pairs():
    with Model("clean") as stable, Model("scratches") as canary:
        found = list(audit.pairs(stable.address, canary.address, [(PICTURE, "clean")] * 40))
    assert [pair.stable.label for pair in found] == ["clean"] * 40 and found[0].canary.seconds > 0
    assert stable.asked == canary.asked == [PICTURE] * 40
    gate = Gate("quality", wrong, 0.02)
    for pair in found:
        gate.add(pair)
    assert gate.reading.decision is Decision.STOP


def test_an_audit_of_a_dead_canary_gives_failures_and_not_exceptions():
    with Model("clean") as stable:
        found = list(audit.pairs(stable.address, "http://127.0.0.1:9", [(PICTURE, "clean")] * 3))
    assert [(p.stable.status, p.canary.status) for p in found] == [(200, 0)] * 3


def test_the_service_gives_its_shadow_the_very_tiles_and_tells_what_came_of_it():
    words = ("--workers", 1, "--no-access-log", "--latency-budget-ms", 2000)
    with Model("patches") as other, Service(*words, "--shadow", other.address) as served:
        for _ in range(3):
            assert json.loads(served.ask("/v1/inspect", PICTURE).body)["label"] == "scratches"
        end = time.monotonic() + 20
        while len(other.asked) < 3 and time.monotonic() < end:
            time.sleep(0.05)
        assert all(copy.startswith(b"\x89PNG") for copy in other.asked) and len(other.asked) == 3
        told, log = "", ""
        while 'outcome="differs"} 3.0' not in told and time.monotonic() < end:
            told = served.ask("/metrics").body.decode()
        assert 'cvprod_shadow_total{outcome="differs"} 3.0' in told
        log = served.log.read_text()
        assert "scratches, shadow: patches" in log and PICTURE.hex()[:40] not in log


def test_the_tile_is_sent_without_loss():
    import cv2

    tile = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    with Model("clean") as other, shadow.Shadow(other.address) as ghost:
        ghost.offer(tile, "clean")
        ghost.settle()
        assert (cv2.imdecode(np.frombuffer(other.asked[0], np.uint8), cv2.IMREAD_UNCHANGED) == tile).all()


def test_an_answer_that_came():
    assert Answer(200, "clean", 0.1).came and not Answer(429).came and not Answer(0).came
