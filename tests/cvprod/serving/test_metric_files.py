"""The files behind /metrics: room that is there before it is used, and the dead in one file."""

import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from cvprod.serving import metric_files
from cvprod.serving.metric_files import Reserved, fold

from .conftest import metrics, wait_for


def values(file):
    return {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(str(file))}


def test_bytes_are_there_before_they_are_mapped(tmp_path):
    made = Reserved(str(tmp_path / "counter_1.db"))
    for i in range(3000):  # it grows
        made.write_value(f"a key of some length, {i}", float(i), 0.0)
        stat = (tmp_path / "counter_1.db").stat()
        assert stat.st_blocks * 512 >= stat.st_size, "a hole"
    made.close()
    assert len(values(tmp_path / "counter_1.db")) == 3000


def test_a_full_disk_is_an_error_and_not_a_signal(tmp_path, monkeypatch):
    made = Reserved(str(tmp_path / "counter_1.db"))
    made.write_value("first", 1.0, 0.0)

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="full"):
        for i in range(3000):
            made.write_value(f"a key of some length, {i}", 1.0, 0.0)
    made.write_value("first", 2.0, 0.0)  # what is there goes on
    assert values(tmp_path / "counter_1.db")["first"] == 2.0
    with pytest.raises(OSError, match="full"):
        Reserved(str(tmp_path / "counter_2.db"))


def test_the_dead_are_one_file_and_nothing_is_lost(tmp_path):
    for pid in range(1, 41):
        for kind in ("counter", "histogram", "gauge_livesum"):
            made = Reserved(str(tmp_path / f"{kind}_{pid}.db"))
            made.write_value("requests", float(pid), 0.0)
            made.write_value(f"seen by {pid % 3}", 1.0, 0.0)
            made.close()
    for pid in range(1, 40):
        fold(tmp_path, pid)
    assert sorted(file.name for file in tmp_path.glob("*.db")) == [
        "counter_40.db", "counter_gone.db", "gauge_livesum_40.db", "histogram_40.db", "histogram_gone.db",
    ]  # fmt: skip
    assert values(tmp_path / "counter_gone.db") == {
        "requests": sum(range(1, 40)), "seen by 1": 13, "seen by 2": 13, "seen by 0": 13,
    }  # fmt: skip
    fold(tmp_path, 12345)  # nobody
    with metric_files.reading(tmp_path):
        assert len(list(tmp_path.glob("*.db"))) == 5


def test_whoever_is_gone_is_found(tmp_path):
    gone, unasked = (subprocess.Popen(["true"]) for _ in range(2))
    gone.wait()
    os.waitid(os.P_PID, unasked.pid, os.WEXITED | os.WNOWAIT)  # ended, and still a zombie
    for pid in (gone.pid, unasked.pid, os.getpid()):
        made = Reserved(str(tmp_path / f"histogram_{pid}.db"))
        made.write_value("requests", 3.0, 0.0)
        made.close()
    metric_files.fold_dead(tmp_path)
    metric_files.fold_dead(tmp_path)  # what is folded already is no process
    unasked.wait()
    left = {"histogram_gone.db", f"histogram_{os.getpid()}.db"}
    assert {file.name for file in tmp_path.glob("*.db")} == left
    assert values(tmp_path / "histogram_gone.db") == {"requests": 6.0}


def test_counts_survive_their_workers_and_a_scrape_reads_no_more_files(start, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    service = start("--workers", 2)
    for _ in range(10):
        service.get("/v2")
    name = 'cvprod_requests_total{code="200",route="/v2"}'
    assert metrics(service)[name] == 10
    (folder,) = tmp_path.glob("cvprod-metrics-*")
    for _ in range(5):
        before = service.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_for(lambda before=before: len(service.workers()) == 2 and before[0] not in service.workers(), 60)
        time.sleep(0.2)
    for _ in range(5):
        service.get("/v2")

    def owners():
        return {file.stem.rpartition("_")[2] for file in folder.glob("*.db")} - {"gone"}

    # What two workers and the process that they are forked from have written, and nobody else.
    wait_for(lambda: len(owners()) <= 3 and all(Path(f"/proc/{pid}").exists() for pid in owners()), 60)
    assert metrics(service)[name] == 15
