"""The benchmark of what a teacher is worth: pairs that differ in the teacher alone, and a record of the shipped one."""

import json

import pytest

from cvprod.bench import __main__, distillation
from cvprod.models import WeightsError
from cvprod.optimize.pipeline import PipelineConfig


def test_each_seed_gives_a_pair_on_every_line(tmp_path, capsys):
    file = tmp_path / "out.json"
    words = ["distillation", "--tiles", "64", "--steps", "2", "--test-tiles", "35", "--seeds", "2", "--json", str(file)]
    assert __main__.main(words) == 0
    said = json.loads(file.read_text())
    assert [(row["line"], row["seed"]) for row in said["rows"]] == [
        (line, seed) for line in distillation.LINES for seed in range(2)
    ]
    for row in said["rows"]:
        assert row["difference"] == pytest.approx(row[distillation.TEACHER] - row[distillation.LABELS])
        assert row["low"] <= row["difference"] <= row["high"]
    assert said["recipe"]["steps"] == 2
    assert capsys.readouterr().out.count("points (") == 4


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--tiles", "1"], ["--steps", "0"]])
def test_what_no_student_learns_from_is_one_line(words, capsys):
    assert __main__.main(["distillation", *words]) == 2
    shown = capsys.readouterr().err
    assert "must be at least" in shown and shown.count("\n") == 1


def test_the_record_is_of_the_shipped_recipe_and_teacher(tmp_path, monkeypatch):
    said, config = distillation.recorded(), PipelineConfig()
    assert said["recipe"] == {key: getattr(config, key) for key in said["recipe"]}
    assert {row["seed"] for row in said["rows"]} == {0, 1, 2}
    other = tmp_path / "record.json"
    other.write_text(json.dumps(said | {"teacher_sha256": "0" * 64}))
    monkeypatch.setattr(distillation, "RECORD", other)
    with pytest.raises(WeightsError, match="another teacher"):
        distillation.recorded()
