"""What watches the answers: records hold no picture and never block, traces are decided before OpenTelemetry."""

import json
import threading
import time

import numpy as np
import pytest

from cvprod.monitoring.served import LABELS, Served
from cvprod.serving import records, tracing
from cvprod.serving.context import Observation
from cvprod.serving.descriptors import NAMES
from cvprod.serving.verdict import Verdict
from cvprod.surface import CLASSES

PARENT = "00-" + "5c" * 16 + "-" + "08" * 8 + "-01"


def observation(request_id="r-1", n=2, parent="", seconds=0.003):
    rng = np.random.default_rng(n)
    verdicts = [Verdict(CLASSES[k % 7], 0.9, bool(k % 7), False, np.full(7, 1 / 7, np.float32), CLASSES)
                for k in range(n)]  # fmt: skip
    now = 1_700_000_000.0
    stages = {"queue": (now, now), "decode": (now, now + 0.001), "infer": (now + 0.001, now + seconds)}
    tiles = rng.integers(0, 255, (n, 1, 96, 96)).astype(np.uint8)
    return Observation(request_id, "/v1/inspect", parent, "", "steel", "1.0.0", now, now + seconds, stages,
                       tuple(range(n)), verdicts, tiles)  # fmt: skip


def lines(folder):
    return [json.loads(line) for file in sorted(folder.glob("records-*")) for line in file.read_text().splitlines()]


# --- records ---


def test_a_record_says_what_was_answered_and_holds_no_picture(tmp_path):
    kept = records.Records(tmp_path, share=1.0, embed=lambda tiles: (None, np.ones((len(tiles), 16))))
    seen = observation(n=2, parent=PARENT)
    kept.seen(seen)
    kept.close()
    first, second = lines(tmp_path)
    assert (first["request_id"], first["row"], second["row"]) == ("r-1", 0, 1)
    assert first["trace_id"] == "5c" * 16 and first["label"] == "clean" and first["version"] == "1.0.0"
    assert len(first["descriptors"]) == len(NAMES) and len(first["embedding"]) == 16
    assert max(len(v) for v in first.values() if isinstance(v, list)) < 100, "nothing as long as a picture"
    assert "tile" not in " ".join(first)


def test_the_share_is_taken_by_a_hash_that_everybody_agrees_on(tmp_path):
    kept = records.Records(tmp_path, share=0.1)
    for k in range(1000):
        kept.seen(observation(f"r-{k}", n=1))
        while kept._queue.qsize() > 500:
            time.sleep(0.001)
    kept.close()
    looked = {line["request_id"] for line in lines(tmp_path) if "descriptors" in line}
    assert looked == {f"r-{k}" for k in range(1000) if records.sampled(f"r-{k}", 0, 0.1)}
    assert 60 < len(looked) < 140 and not any(records.sampled(f"x{k}", 0, 0.0) for k in range(100))


def test_files_are_bounded_and_the_oldest_go(tmp_path):
    kept = records.Records(tmp_path, share=0.0, max_bytes=2000, files=3)
    for k in range(100):
        kept.seen(observation(f"r-{k}", n=1))
    kept.close()
    files = list(tmp_path.glob("records-*"))
    assert len(files) == 3 and all(file.stat().st_size <= 2000 for file in files)
    assert {line["request_id"] for line in lines(tmp_path)} >= {"r-99", "r-98"}


def test_a_slow_disk_loses_records_and_holds_up_nobody(tmp_path, monkeypatch):
    gate, lost = threading.Event(), []
    monkeypatch.setattr(records, "_WAITING", 3)
    monkeypatch.setattr(records.metrics.RECORDS.labels("lost"), "inc", lost.append)
    kept = records.Records(tmp_path, share=0.0)
    monkeypatch.setattr(kept, "_write", lambda data: gate.wait(20))
    begun = time.monotonic()
    for k in range(50):
        kept.seen(observation(f"r-{k}", n=1))
    assert time.monotonic() - begun < 5 and sum(lost) >= 45
    gate.set()
    kept.close()


def test_a_full_disk_is_counted(tmp_path, monkeypatch):
    lost = []
    monkeypatch.setattr(records.metrics.RECORDS.labels("lost"), "inc", lost.append)
    kept = records.Records(tmp_path, share=0.0)

    def full(data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "_write", full)
    kept.seen(observation(n=2))
    kept.close()
    assert lost == [2]


# --- what the monitor reads ---


def test_served_reads_whole_lines_once_and_joins_labels(tmp_path):
    kept = records.Records(tmp_path, share=1.0, embed=lambda tiles: (None, np.zeros((len(tiles), 4))))
    for k in range(3):
        kept.seen(observation(f"r-{k}", n=2))
    kept.close()
    served = Served(tmp_path)
    assert len(served.new()) == 6 and served.new() is None
    (file,) = tmp_path.glob("records-*")
    with file.open("a") as half:
        half.write('{"request_id": "r-9"')  # a line that is still being written
    notes = [{"request_id": "r-0", "row": 1, "label": "clean"}, {"request_id": "nobody", "label": "clean"}]
    (tmp_path / LABELS).write_text("".join(json.dumps(n) + "\n" for n in notes) + "rubbish\n")
    assert served.new() is None
    truth, said = served.labels()
    assert (truth.tolist(), said.tolist()) == ([0], [1]) and served.spoilt == 2
    assert served.labels()[0].size == 0


# --- tracing ---


def test_who_is_traced_and_why():
    def why(parent="", request="r-1", seconds=0.001, share=0.0):
        return tracing.chosen(parent, request, seconds, share=share, slow=0.01)

    assert why() == "" and why(PARENT) == "caller" and why(seconds=0.02) == "slow"
    assert why(PARENT[:-1] + "0") == "", "the caller has decided not to"
    assert why(share=1.0) == "share"
    assert 60 < sum(bool(why(request=f"r-{k}", share=0.1)) for k in range(1000)) < 140
    for wrong in ("00-" + "0" * 32 + "-" + "08" * 8 + "-01", "rubbish", PARENT.upper(), PARENT[:-2]):
        assert why(wrong) == "", wrong


def test_the_trace_id_is_the_callers_or_made_from_the_request():
    assert tracing.trace_id(PARENT, "r-1") == "5c" * 16
    mine = tracing.trace_id("", "r-1")
    assert mine == tracing.trace_id("rubbish", "r-1") != tracing.trace_id("", "r-2") and int(mine, 16)
    assert len(mine) == 32


@pytest.fixture
def traced():
    export = pytest.importorskip("opentelemetry.sdk.trace.export", reason="needs opentelemetry-sdk")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    kept = memory.InMemorySpanExporter()
    return tracing.Tracing(export.SimpleSpanProcessor(kept), share=0.0, slow=0.01), kept


def test_spans_carry_the_services_own_timestamps(traced):
    watcher, kept = traced
    watcher.seen(observation("quick"))
    assert not kept.get_finished_spans()
    watcher.seen(observation("asked", parent=PARENT))
    *stages, root = kept.get_finished_spans()
    assert [s.name for s in stages] == ["queue", "decode", "infer"]
    assert f"{root.context.trace_id:032x}" == "5c" * 16 and f"{root.parent.span_id:016x}" == "08" * 8
    assert all(s.parent.span_id == root.context.span_id for s in stages)
    assert root.end_time - root.start_time == pytest.approx(3e6, abs=1e3)
    assert stages[1].end_time == pytest.approx((1_700_000_000.0 + 0.001) * 1e9, abs=1e3)
    assert root.attributes["cvprod.request_id"] == "asked" and root.attributes["cvprod.traced_because"] == "caller"


def test_a_trace_that_begins_here_has_the_id_of_its_log_line(traced):
    watcher, kept = traced
    watcher.seen(observation("slow-one", seconds=0.02))
    assert f"{kept.get_finished_spans()[-1].context.trace_id:032x}" == tracing.trace_id("", "slow-one")


def test_every_error_is_traced(traced):
    watcher, kept = traced
    watcher.failed("/v1/inspect", 500, "broken", "", 0.001)
    (span,) = kept.get_finished_spans()
    assert span.status.status_code.name == "ERROR" and span.attributes["http.response.status_code"] == 500
