"""What the filter hides leaves by no door, and the watcher tells a camera from a search."""

import json

import numpy as np
import pytest
from tritonclient import http as triton

from cvprod.security import attacks
from cvprod.security.api import Client
from cvprod.serving import output
from cvprod.serving.verdict import judge
from cvprod.stack.service import Service
from cvprod.surface import CLASSES, make_set

TABLE = np.array([[0.91, 0.04, 0.05, 0, 0, 0, 0], [0.55, 0.4, 0.05, 0, 0, 0, 0]], np.float32)


@pytest.fixture(scope="module")
def tiles():
    return make_set(14, 3)


def test_rounded_keeps_label_and_flag_and_tells_tenths():
    exact = judge(TABLE, CLASSES, 0.8)
    said = output.rounded(exact)
    for before, after in zip(exact, said, strict=True):
        assert (after.label, after.review, after.defect) == (before.label, before.review, before.defect)
        assert np.allclose(after.probabilities * 10, np.round(after.probabilities * 10), atol=1e-5)
        assert abs(after.probability - before.probability) <= 0.051
    assert said[1].of_each_class()["clean"] == pytest.approx(0.6, abs=0.051)


def test_top1_tells_one_bit_beside_the_label():
    said = output.top1(0.8)(judge(TABLE, CLASSES, 0.8))
    assert [(v.label, v.probability, v.review) for v in said] == [("clean", 0.8, False), ("clean", 0.0, True)]
    assert all(sorted(v.probabilities) == [0] * 6 + [1] for v in said)


@pytest.mark.parametrize("kind", ["rounded", "top1"])
def test_nothing_more_leaves_at_any_door(kind, tiles):
    with (
        Service("--workers", 1, "--latency-budget-ms", 1000) as open_one,
        Service("--workers", 1, "--latency-budget-ms", 1000, "--output", kind) as shy,
    ):
        with Client(open_one.port) as first, Client(shy.port) as second:
            told, hidden = first.inspect(tiles.images), second.inspect(tiles.images)
        logits = []
        for service in (open_one, shy):
            with triton.InferenceServerClient(f"127.0.0.1:{service.port}") as client:
                given = triton.InferInput("pixels", list(tiles.images.shape), "UINT8")
                given.set_data_from_numpy(tiles.images)
                logits.append(client.infer("steel", [given]).as_numpy("logits"))
    assert (told.labels == hidden.labels).all(), "labels stay"
    assert (logits[0].argmax(1) == logits[1].argmax(1)).all()
    levels = len(np.unique(hidden.probabilities.round(4)))
    assert levels <= (2 if kind == "top1" else 11) < len(np.unique(told.probabilities.round(4)))
    assert len(np.unique(logits[1].round(3))) <= levels + 1 < len(np.unique(logits[0].round(3)))


def test_a_camera_sends_nothing_twice_and_a_search_does(tiles):
    watch = output.Repeats()
    assert sum(watch.look("camera", tile[0]) for tile in make_set(120, 9).images) <= 2
    seen = [watch.look("search", attacks.noise(tiles.images[:1], 6, seed=n)[0, 0]) for n in range(30)]
    assert not seen[0] and all(seen[1:])


def test_callers_are_told_apart_and_memory_is_bounded(tiles):
    watch = output.Repeats(memory=4, callers=2)
    tile = tiles.images[0, 0]
    assert not watch.look("a", tile) and not watch.look("b", tile) and watch.look("a", tile)
    for other in tiles.images[1:6]:
        watch.look("a", other[0])
    assert not watch.look("a", tile), "it is more than four pictures ago"
    watch.look("c", tile)
    assert not watch.look("b", tile), "two callers are kept"


def test_the_service_counts_them(tiles):
    with (
        Service("--workers", 1, "--latency-budget-ms", 1000, "--watch-queries") as service,
        Client(service.port) as one,
    ):
        one.inspect(tiles.images)
        for n in range(20):
            one.ask(attacks.noise(tiles.images[:1], 4, seed=n)[0])
        text = service.ask("/metrics").body.decode()
        log = service.log.read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("cvprod_near_duplicates_total"))
    assert float(line.split()[1]) >= 20
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [event["images"] for event in events if event["event"] == "alike-queries"] == [17]
