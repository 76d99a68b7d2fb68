"""Planted versions are what they say, and the gate for pull requests tells them apart."""

import json

import numpy as np
import pytest

from cvprod import surface
from cvprod.rollout import __main__, model_gate, planted
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL


@pytest.fixture(scope="module")
def tiles():
    return surface.make_set(720, seed=91, workers=2)


@pytest.fixture(scope="module")
def body(tiles):
    return planted.Body.of(DEFAULT_MODEL, tiles)


@pytest.fixture(scope="module")
def cards(body, tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return {
        "bad": body.write(folder, "bad", *body.worse(0.08)),
        "other": body.write(folder, "other", *body.other(noise=0.05, seed=1)),
    }


def test_the_body_is_the_served_network(body, tiles):
    logits = body.features @ body.weight.T + body.bias
    assert np.allclose(logits, Model.load(DEFAULT_MODEL).run(tiles.images), atol=1e-3)


@pytest.mark.parametrize("towards", range(7))
def test_a_worse_head_loses_what_was_asked_to_the_class_that_was_named(body, towards):
    weight, bias = body.worse(0.05, towards=towards)
    base, now = body.right(body.weight, body.bias), body.right(weight, bias)
    assert base.mean() - now.mean() == pytest.approx(0.05, abs=0.01)
    said = (body.features @ weight.T + bias).argmax(1)
    assert (said[base & ~now] == towards).all()


def test_what_cannot_be_lost_is_said(body):
    with pytest.raises(ValueError, match="no bias"):
        body.worse(0.97)


def test_written_versions_load_and_answer_as_planned(body, cards, tiles):
    for name, head in {"bad": body.worse(0.08), "other": body.other(noise=0.05, seed=1)}.items():
        loaded = Model.load(cards[name])
        assert loaded.version == name
        assert np.array_equal(loaded.run(tiles.images).argmax(1) == tiles.labels, body.right(*head))


def test_a_worse_model_is_refused_and_an_equal_one_is_not_worse(cards, tiles):
    bad, other = (model_gate.judge(DEFAULT_MODEL, cards[name], tiles) for name in ("bad", "other"))
    assert not bad.passed and bad.lines[-1].startswith("FAIL  not worse")
    assert other.lines[-1].startswith("pass  not worse")
    assert bad.stable_accuracy - bad.candidate_accuracy == pytest.approx(0.08, abs=0.01)


def test_too_few_tiles_prove_nothing(cards, tiles):
    little = model_gate.judge(DEFAULT_MODEL, cards["other"], tiles[:30])
    assert not little.passed and "not decided" in " ".join(little.lines)


def test_the_command_says_it_by_its_exit_status(cards, tmp_path, capsys):
    words = ["check", "--stable", str(DEFAULT_MODEL), "--tiles", "60"]
    assert __main__.main([*words, str(cards["bad"])]) == 1
    assert "FAIL" in capsys.readouterr().out
    assert __main__.main([*words, str(tmp_path / "none.json")]) == 2
    assert "no card beside the model" in capsys.readouterr().err
    broken = json.loads(cards["other"].read_text()) | {"sha256": "0" * 64}
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    assert __main__.main([*words, str(tmp_path / "broken.json")]) == 2
