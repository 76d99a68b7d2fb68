"""Chapter 7's example: each step changes what it says it changes, and the last one answers as the book's service."""

import json

import pytest
from fastapi.testclient import TestClient

from cvprod.serving import auth, model
from cvprod.serving.errors import KINDS, MEDIA_TYPE
from cvprod.serving.model import ModelError
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import stepwise
from cvprod.traffic import hostile

STEPS = range(len(stepwise.STEPS))
JPEG = hostile.encode(hostile.GREY, "JPEG", quality=90)
ZOO = hostile.hostile() | hostile.oversized()
FILES = {name: data for name, (data, _) in ZOO.items()}


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    return file, auth.add(file, "camera")


def ask(step, content, *, keys=None, **headers):
    with TestClient(stepwise.build(step, keys=keys), raise_server_exceptions=False) as client:
        return client.post("/predict", content=content, headers=headers)


@pytest.mark.parametrize("step", STEPS)
def test_a_sound_picture_is_answered_after_every_step(step, keys):
    file, key = keys
    assert stepwise.statuses(stepwise.build(step, keys=file), {"jpeg": JPEG}, key) == {"jpeg": 200}


def test_the_tutorial_takes_what_is_no_picture_of_steel_and_fails_at_the_rest():
    found = stepwise.statuses(stepwise.tutorial(), FILES)
    assert set(found.values()) == {200, 500}
    assert all(found[name] == 200 for name in ("png short of rows", *hostile.oversized()))


def test_a_model_that_is_not_the_one_of_its_card_stops_the_start_from_step_1(tmp_path):
    card, data = model.read(DEFAULT_MODEL)
    (tmp_path / "model.onnx").write_bytes(data)
    wrong = card.model_copy(update={"file": "model.onnx", "self_test": tuple(v + 5 for v in card.self_test)})
    (tmp_path / "model.json").write_text(wrong.model_dump_json())
    with pytest.raises(ModelError, match="self test"), TestClient(stepwise.build(1, card=tmp_path / "model.json")):
        pass


def test_from_step_2_the_answer_has_a_schema_and_no_wrong_picture_gets_a_label():
    for step in (1, 2):
        document = stepwise.build(step).openapi()
        assert ("Answer" in document.get("components", {}).get("schemas", {})) == (step == 2)
    answer = ask(2, JPEG).json()
    assert (
        answer.keys() == {"label", "probability", "review", "model"}
        and answer["label"] in model.Model.load(DEFAULT_MODEL).card.classes
    )
    found = stepwise.statuses(stepwise.build(2), {name: FILES[name] for name in hostile.hostile()})
    assert set(found.values()) == {500}  # nobody catches the refusal yet


@pytest.mark.parametrize("name", hostile.hostile())
def test_from_step_3_a_refusal_has_the_documented_status_and_form(name):
    data, slug = ZOO[name]
    answer = ask(3, data)
    assert answer.status_code == KINDS[slug].status and answer.headers["content-type"] == MEDIA_TYPE
    assert answer.json()["type"].endswith(f"#{slug}") and answer.json()["status"] == answer.status_code


def test_from_step_4_nobody_without_a_key_gets_as_far_as_the_picture(keys):
    file, key = keys
    assert set(stepwise.statuses(stepwise.build(3, keys=file), {"jpeg": JPEG}).values()) == {200}
    assert set(stepwise.statuses(stepwise.build(4, keys=file), FILES).values()) == {401}
    refused = ask(4, JPEG, keys=file, **{"X-API-Key": key[:-1]})
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert "APIKeyHeader" in json.dumps(stepwise.build(4, keys=file).openapi())


def test_from_step_5_a_long_body_is_refused_declared_or_in_chunks():
    long = FILES["jpeg of 20 MB"]
    assert ask(4, long).status_code == 200
    parts = (long[start : start + 2**20] for start in range(0, len(long), 2**20))
    declared, chunked = ask(5, long), ask(5, parts)
    assert [a.json()["type"].partition("#")[2] for a in (declared, chunked)] == ["body-too-large"] * 2
    assert ask(5, b"").json()["type"].endswith("#body-empty")
    assert ask(5, JPEG + bytes(stepwise.MAX_BODY - len(JPEG))).status_code == 200  # the limit itself is allowed


def test_the_last_step_refuses_every_file_as_the_table_of_problems_says(keys):
    file, key = keys
    found = stepwise.statuses(stepwise.build(5, keys=file), FILES, key)
    wanted = {name: KINDS[slug if data else "body-empty"].status for name, (data, slug) in ZOO.items()}
    assert found == wanted


def test_there_is_no_other_step():
    with pytest.raises(ValueError, match="steps 0 to 5"):
        stepwise.build(6)
