"""The drift benchmark: rows of the promised form, blindness where nothing was drawn, words for wrong options."""

import json

import numpy as np
import pytest

from cvprod.bench import __main__, drift
from cvprod.monitoring import driftmap


@pytest.fixture
def few(monkeypatch):
    """Textures in place of the line's tiles, quick to make: bright ones for a turned dial."""

    def draw_all(jobs, workers=1):
        made = []
        for name, severity, n, seed in jobs:
            rng = np.random.default_rng(seed)
            level = 120 if name == "none" else 120 + 60 * abs(severity)
            tiles = np.clip(rng.normal(level, 20, (min(n, 400), 1, 96, 96)), 0, 255).astype(np.uint8)
            made.append((tiles, rng.integers(0, 7, len(tiles))))
        return made

    monkeypatch.setattr(drift, "draw_all", draw_all)
    monkeypatch.setattr(driftmap, "adwin_false_alarms", lambda *_, **__: 0.1)


def test_rows_have_the_promised_fields_and_a_line_for_every_detector(few, tmp_path, capsys):
    out = tmp_path / "drift.json"
    assert __main__.main(["drift", "--windows", "2", "--dials", "exposure", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert {tuple(row) for row in rows} == {drift.FIELDS}
    assert len(rows) == 3 * 6 and {row["dial"] for row in rows} == {"exposure"}
    assert all(0 <= row["auc"] <= 1 and row["false_alarms_per_week"] >= 0 for row in rows)
    assert all(row["delay_tiles"] is None or row["delay_tiles"] >= 1 for row in rows)
    assert "alarms a week" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--windows", "0"], "at least 1"),
        (["--json", "/nowhere/x.json"], "does not exist"),
        (["--baseline", "/nowhere"], "make one"),
    ],
)
def test_what_cannot_be_started_is_told(words, says, capsys):
    assert __main__.main(["drift", *words]) == 2
    assert says in capsys.readouterr().err
