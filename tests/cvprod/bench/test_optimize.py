"""The optimise benchmark: its JSON, its order, and what it says to a wrong call."""

import json

import numpy as np
import pytest

from cvprod import bench
from cvprod.bench.__main__ import main
from cvprod.optimize import compare, pipeline
from cvprod.surface import make_set


@pytest.fixture
def three(monkeypatch):
    tiles = make_set(21, 5)
    asked = []

    def book_tiles(split, n, **options):
        asked.append((split, n))
        return tiles

    def technique(name, right):
        answers = np.where(np.eye(7, dtype=bool)[tiles.labels], right, 0.0).astype(np.float32)
        return lambda shop: compare.Candidate(name, lambda images: answers[: len(images)], 10 * (1 + right))

    named = {name: technique(name, right) for name, right in (("baseline", 9), ("between", 0), ("pipeline", 9))}
    monkeypatch.setattr(compare, "TECHNIQUES", named)
    monkeypatch.setattr(pipeline, "book_tiles", book_tiles)
    return asked


def test_json_begins_with_the_baseline_and_ends_with_the_pipeline(three, tmp_path, capsys):
    file = tmp_path / "rows.json"
    assert main(["optimize", "--json", str(file), "--repeats", "3"]) == 0
    rows = json.loads(file.read_text())
    assert [row["name"] for row in rows] == ["baseline", "between", "pipeline"]
    assert all({"p50_ms", "p99_ms", "size_bytes", "accuracy", "n_tiles"} <= set(row) for row in rows)
    assert rows[0]["accuracy"] == 1 > rows[1]["accuracy"] and rows[0]["n_tiles"] == 21
    assert rows[1]["difference"] == pytest.approx(rows[1]["accuracy"] - 1) and rows[2]["difference"] == 0
    assert all(row["difference_low"] <= row["difference"] <= row["difference_high"] for row in rows)
    assert rows[0]["size_bytes"] == 100 and 0 < rows[0]["p50_ms"] <= rows[0]["p99_ms"]
    assert dict(three)["test"] >= 2_000, "the default must suffice for half a point"
    printed = capsys.readouterr().out
    assert "baseline" in printed and "pipeline" in printed
    assert "-85.71" in printed, "the points that the table gives against the baseline"


def test_only_keeps_the_first_and_the_last_row(three, tmp_path):
    file = tmp_path / "rows.json"
    assert main(["optimize", "--json", str(file), "--only", "baseline", "--repeats", "2"]) == 0
    assert [row["name"] for row in json.loads(file.read_text())] == ["baseline", "pipeline"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "magic"], "unknown technique magic"),
        (["--tiles", "0"], "at least 1"),
        (["--json", "/nowhere/at/all/x.json"], "does not exist"),
    ],
)
def test_a_wrong_call_says_what_to_change(three, words, said, capsys):
    assert main(["optimize", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_real_table_starts_and_ends_as_promised():
    names = list(compare.TECHNIQUES)
    assert "optimize" in bench.COMMANDS and names[0] == "baseline" and names[-1] == "pipeline"
    assert {"ort_int8", "openvino_fp32", "openvino_int8", "torch_compile", "unstructured", "structured"} < set(names)
