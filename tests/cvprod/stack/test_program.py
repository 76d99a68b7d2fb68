"""A program is started, waited for, and stopped with what it started."""

import os
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


def gone(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_one_whose_python_is_killed_ends_too_with_what_it_started():
    """One that listens to SIGTERM may still tidy up; one that does not is killed after its grace."""
    code = """if True:
        import subprocess, sys, time
        from cvprod.stack.program import Program
        deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" if sys.argv[1] == "deaf" else ""
        child = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
        thing = Program("thing", [sys.executable, "-c", deaf + child], lambda: True, grace=0.4, stdout=subprocess.PIPE)
        print(thing.process.pid, int(thing.process.stdout.readline()), flush=True)
        time.sleep(60)
    """
    for kind in ("polite", "deaf"):
        with subprocess.Popen([sys.executable, "-c", code, kind], stdout=subprocess.PIPE, text=True) as kernel:
            started = [psutil.Process(int(pid)) for pid in kernel.stdout.readline().split()]
            assert len(started) == 2 and not any(map(gone, started))
            kernel.kill()
        assert until(lambda started=started: all(map(gone, started)), 5), kind


def test_one_that_was_stopped_leaves_nobody_who_waits_for_the_end():
    before = set(psutil.Process().children())
    with python("import time; time.sleep(60)"):
        assert len(set(psutil.Process().children()) - before) == 2  # it and its guard
    assert set(psutil.Process().children()) <= before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here")
def test_one_is_bound_to_the_cores_it_is_given():
    core = min(os.sched_getaffinity(0))
    with python("import time; time.sleep(60)", cores=[core]) as thing:
        assert os.sched_getaffinity(thing.process.pid) == {core}
