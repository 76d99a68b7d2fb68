"""Callers that try again, against a real server of known behaviour: how often it is asked, and when it is not."""

import http.server
import os
import subprocess
import threading
import time
from contextlib import contextmanager

import numpy as np
import psutil
import pytest

from cvprod.traffic.retries import Policy, run, stopped


@contextmanager
def server(answer):
    """A server on a free port: `answer(number)` is the status of the number-th request, or 0 to hang up.
    Yields (port, heads of all requests)."""
    heads = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            heads.append(dict(self.headers))
            status = answer(len(heads))
            if not status:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield made.server_port, heads
        finally:
            made.shutdown()


DUE = np.arange(40) / 400
NAIVE = Policy(layers=(3, 3), try_seconds=20, deadline=20)


def test_who_is_answered_does_not_try_again():
    with server(lambda _: 200) as (port, heads):
        seen = run(port, b"picture", DUE, NAIVE)
    assert len(heads) == seen.sent.size == DUE.size and seen.answered.all()
    assert (seen.done >= seen.due).all() and seen.in_time(20).all() and not seen.in_time(0.0).any()
    assert "X-Timeout-Ms" not in heads[0]


@pytest.mark.parametrize("status", [503, 0])
def test_layers_multiply(status):
    with server(lambda _: status) as (port, heads):
        seen = run(port, b"picture", DUE, NAIVE)
    assert len(heads) == seen.sent.size == 9 * DUE.size and not seen.answered.any()


def test_a_budget_bounds_all_tries_together():
    budget = Policy(layers=(3,), try_seconds=20, deadline=20, budget=0.1, saved=5)
    with server(lambda _: 503) as (port, _):
        seen = run(port, b"picture", DUE, budget)
    assert DUE.size + 5 <= seen.sent.size <= DUE.size + 5 + 0.1 * DUE.size


def test_one_failure_is_mended_within_the_budget():
    with server(lambda number: 0 if number == 3 else 200) as (port, _):
        seen = run(port, b"picture", DUE, Policy(layers=(2,), try_seconds=20, deadline=20, budget=0.1, pause=0.01))
    assert seen.answered.all() and seen.sent.size == DUE.size + 1


def test_no_try_begins_after_the_deadline_and_the_service_is_told():
    strict = Policy(layers=(50,), try_seconds=20, deadline=0.2, pause=0.05, strict=True)
    with server(lambda _: 503) as (port, heads):
        seen = run(port, b"picture", np.zeros(1), strict)
    assert 1 < seen.sent.size < 50 and seen.sent.max() < 1 and heads[0]["X-Timeout-Ms"] == "20000"


def test_a_try_is_given_up():
    with server(lambda _: time.sleep(5) or 200) as (port, _):
        seen = run(port, b"picture", np.zeros(1), Policy(layers=(2,), try_seconds=0.1, deadline=1))
    assert seen.sent.size == 2 and not seen.answered.any() and 0.2 <= seen.done[0] < 5


def test_a_pause_lies_between_two_tries():
    """At once, the second try follows the first within the time of an answer; with a pause most wait longer."""
    with server(lambda _: 503) as (port, _):
        seen = run(port, b"picture", np.zeros(1), Policy(layers=(20,), try_seconds=20, deadline=20, pause=0.1))
    gaps = np.diff(seen.sent)
    assert np.median(gaps) > 0.02 and np.ptp(gaps) > 0.02


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs SIGSTOP")
def test_processes_stand_still_for_a_while_and_always_go_on():
    with subprocess.Popen(["sleep", "60"]) as process:
        state, stood = psutil.Process(process.pid).status, psutil.STATUS_STOPPED
        with stopped([process.pid], after=0.0, seconds=0.3):
            begun = time.monotonic()
            while state() != stood and time.monotonic() - begun < 20:
                time.sleep(0.01)
            assert state() == stood
            while state() == stood and time.monotonic() - begun < 20:
                time.sleep(0.01)
            assert state() != stood
        with pytest.raises(KeyError), stopped([process.pid], after=0.0, seconds=60):
            while state() != stood:
                time.sleep(0.01)
            raise KeyError
        assert state() != stood
        process.kill()


@pytest.mark.parametrize(
    "wrong", [{"layers": ()}, {"layers": (0,)}, {"try_seconds": 0}, {"deadline": -1}, {"pause": -1}]
)
def test_wrong_policies_are_refused(wrong):
    with pytest.raises(ValueError, match="a policy needs"):
        Policy(**{"layers": (1,), "try_seconds": 1, "deadline": 1} | wrong)


@pytest.mark.parametrize("due", [[], [-1.0], [1.0, 0.5]])
def test_wrong_times_are_refused(due):
    with pytest.raises(ValueError, match="ascending"):
        run(1, b"", np.array(due), NAIVE)
