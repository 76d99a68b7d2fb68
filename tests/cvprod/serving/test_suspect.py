"""The process in which a second try is made: it leaves nothing behind, however the try ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from cvprod.serving import suspect

from .conftest import wait_for


@pytest.fixture
def children():
    """Lists this process's children, without those that earlier tests have left it."""
    before = psutil.Process().children()
    return lambda: [child for child in psutil.Process().children() if child not in before]


def test_what_work_does_to_its_process_is_told(children):
    async def tried(work, seconds=20):
        return await suspect.survives(work, seconds)

    assert asyncio.run(tried(lambda: None)) and asyncio.run(tried(lambda: 1 / 0))
    assert not asyncio.run(tried(lambda: os.kill(os.getpid(), signal.SIGKILL)))
    with pytest.raises(TimeoutError):
        asyncio.run(tried(lambda: os.kill(os.getpid(), signal.SIGSTOP), 0.2))
    assert children() == []


def test_a_try_that_nobody_waits_for_any_longer_is_ended(children):
    """A job's, when its worker drains: the worker would wait for it, and leave it behind in the end."""

    async def left():
        task = asyncio.create_task(suspect.survives(lambda: os.kill(os.getpid(), signal.SIGSTOP), 600))
        while not any(child.status() == psutil.STATUS_STOPPED for child in children()):
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])

    began = time.monotonic()
    asyncio.run(left())  # waits for the thread that waits for the process
    assert children() == [] and time.monotonic() - began < 60


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prctl (Linux)")
def test_a_try_dies_with_its_worker_and_lets_go_of_what_that_had_open():
    program = (
        "import asyncio, os, signal; from cvprod.serving import suspect;"
        "asyncio.run(suspect.survives(lambda: os.kill(os.getpid(), signal.SIGSTOP), 600))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as worker:
        known = psutil.Process(worker.pid)
        wait_for(lambda: any(child.status() == psutil.STATUS_STOPPED for child in known.children()), 60)
        (trial,) = known.children()
        try:
            worker.kill()
            wait_for(lambda: not trial.is_running() or trial.status() == psutil.STATUS_ZOMBIE)
            assert worker.stdout.read() == b""  # nobody holds the other end
        finally:
            if trial.is_running():
                trial.kill()
