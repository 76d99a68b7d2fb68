"""Functions that are really started: what comes back, what happens to errors, and that nothing stays."""

import base64
import json

import psutil
import pytest

from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack.serverless import Framework, FunctionError, Lambda, RuntimeApi
from cvprod.traffic import hostile

JPEG = hostile.encode(hostile.GREY, "JPEG")
EVENT = {"images": [base64.b64encode(JPEG).decode()]}
CLASSES = Model.load(DEFAULT_MODEL).card.classes


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("pyc")


@pytest.fixture(scope="module")
def function(cache):
    with Lambda("lean", EVENT, cache=cache) as made:
        yield made


def test_it_starts_and_answers_and_says_how_long_it_took(function):
    assert function.first["results"][0]["label"] in CLASSES
    assert 0 < function.init_s <= function.cold_s
    call = function({"images": EVENT["images"] * 3})
    assert len(call.answer["results"]) == 3 and 0 < call.seconds < function.cold_s * 10


@pytest.mark.parametrize(
    ("event", "says"),
    [({}, "1 to 64"), ({"images": []}, "1 to 64"), ({"images": ["x"] * 65}, "1 to 64"), ([], "1 to 64"),
     ({"images": ["%%"]}, "base64"), ({"images": [7]}, "base64")],
)  # fmt: skip
def test_bad_events_get_a_sentence_and_the_next_call_is_well(function, event, says):
    assert says in function(event).answer["error"]
    assert function(EVENT).answer == function.first


def test_usual_and_lean_agree(function, cache):
    with Lambda("usual", EVENT, cache=cache) as usual:
        assert usual.first == function.first
        with pytest.raises(FunctionError, match="validation error"):
            usual({"pictures": []})
        assert usual(EVENT).answer == function.first


def test_a_function_that_cannot_start_says_so_and_leaves_nothing(tmp_path):
    card = tmp_path / "model.json"
    card.write_text(DEFAULT_MODEL.read_text().replace('"file": "', '"file": "' + str(DEFAULT_MODEL.parent) + "/"))
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": "0" * 64}))
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with pytest.raises(FunctionError, match=r"not the file that model\.json describes"):
        Lambda("lean", EVENT, card=card)
    assert not {p.pid for p in psutil.Process().children(recursive=True)} - before
    with pytest.raises(ValueError, match="no handler 'fast'; there are usual, lean"):
        Lambda("fast", EVENT)


def test_nothing_is_compiled_or_kept_without_a_cache(cache):
    assert any(cache.rglob("*.pyc"))
    with Lambda("lean", EVENT) as bare:
        assert not list((bare.log.parent / "nothing").rglob("*"))


def test_an_api_without_a_runtime_times_out():
    api = RuntimeApi()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s"):
        api.receive(0.1)
    api.close()


def test_the_framework_answers_and_refuses(cache):
    with Framework(JPEG, cache=cache) as google:
        status, answer = google(JPEG)
        assert status == 200 and answer["label"] in CLASSES and google.cold_s > 0
        status, answer = google(b"no picture")
        assert status == 422 and "no JPEG" in answer["refused"]
        assert google(b"x" * 2_000_001)[0] == 413
