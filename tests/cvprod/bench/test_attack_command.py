"""`python -m cvprod.bench attack` writes rows that a program can read."""

import json

import pytest

from cvprod.bench.__main__ import main

FIELDS = {"attack", "epsilon", "defence", "clean_accuracy", "robust_accuracy", "queries"}


def test_a_small_run_writes_its_rows(tmp_path, capsys):
    file = tmp_path / "rows.json"
    words = ["--tiles", "7", "--epsilons", "4", "--steps", "1", "--queries", "7", "--copy-steps", "1"]
    assert main(["attack", *words, "--defences", "top1", "--json", str(file)]) == 0
    document = json.loads(file.read_text())
    rows = {row["attack"]: row for row in document["rows"]}
    assert set(rows) == {"noise", "fgsm", "pgd", "pgd, copy"} and document["n_tiles"] == 7
    assert all(set(row) == FIELDS and row["defence"] == "top1" and row["epsilon"] == 4 for row in rows.values())
    assert rows["pgd, copy"]["queries"] == 7 and rows["pgd"]["queries"] == 0
    assert all(0 <= row[key] <= 1 for row in rows.values() for key in ("clean_accuracy", "robust_accuracy"))
    assert "pgd, copy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tiles", "3"], "--tiles must be at least 7"),
        (["--epsilons", "0"], "--epsilons are grey levels"),
        (["--steps", "0"], "--steps"),
        (["--json", "/nowhere/x.json"], "its folder does not exist"),
    ],
)
def test_wrong_calls_are_refused_before_the_work(words, said, capsys):
    assert main(["attack", *words]) == 2
    assert said in capsys.readouterr().err
