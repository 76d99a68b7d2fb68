"""A program is started, waited for, and stopped with what it started."""

import subprocess
import sys

import psutil
import pytest

from cvprod.stack.program import Program, until


def python(code, ready=lambda: True, **options):
    return Program("thing", [sys.executable, "-I", "-S", "-c", code], ready, **options)


def test_a_program_runs_until_its_block_ends_and_so_does_what_it_started():
    code = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    with python(code, stdout=subprocess.PIPE) as thing:
        child = psutil.Process(int(thing.process.stdout.readline()))
        assert child.is_running() and not thing.ended
    assert thing.ended and until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 5)
    assert thing.stop() != 0  # once more does nothing more


def test_one_that_ends_or_never_answers_is_an_error_with_its_last_words():
    with pytest.raises(RuntimeError, match=r"thing ended with 3: .*no such model"):
        python("import sys; sys.exit(print('no such model', file=sys.stderr) or 3)", ready=lambda: False)

    def refused():
        raise ConnectionRefusedError

    with pytest.raises(RuntimeError, match=r"thing was not ready within 0\.3 s: it said nothing"):
        python("import time; time.sleep(60)", ready=refused, patience=0.3)
    with pytest.raises(RuntimeError, match="thing cannot be started"):
        Program("thing", ["/no/such/program"], lambda: True)


def test_one_that_does_not_listen_to_sigterm_is_killed():
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with python(code, stdout=subprocess.PIPE, grace=0.2) as thing:
        thing.process.stdout.readline()
    assert thing.stop() == -9
