"""The command `cost`: rows by hand, judged by the contract; files written and refused as promised."""

import json
from dataclasses import asdict

import pytest

from cvprod.bench import __main__ as bench
from cvprod.bench import cost
from cvprod.contract import load_contract
from cvprod.costs import Speed, load_prices

SPEED = Speed(tiles_per_s=900.0, p99_ms=4.0, call_ms={1: 3.4, 16: 41.0}, cold_ms=900.0)
FIELDS = {"option", "provider", "region", "utilisation", "usd_per_million", "meets_contract", "price_date"}


@pytest.fixture
def speed_file(tmp_path):
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"speed": asdict(SPEED)}))
    return path


def test_a_row_for_each_option_and_utilisation_from_the_price_list(speed_file, tmp_path, capsys):
    out = tmp_path / "cost.json"
    words = ["cost", "--speed", str(speed_file), "--json", str(out), "--utilisation", "0.25", "0.8", "1"]
    assert bench.main(words) == 0
    found, prices = json.loads(out.read_text()), load_prices()
    assert all(set(row) == FIELDS for row in found["rows"])
    assert {row["provider"] for row in found["rows"]} == {"plant", "aws", "gcp", "azure"}
    assert len({(r["option"], r["provider"], r["region"], r["utilisation"]) for r in found["rows"]}) == len(
        found["rows"]
    )
    [row] = [r for r in found["rows"] if r["option"] == "D2s_v5" and r["utilisation"] == 0.25]
    assert row["usd_per_million"] == pytest.approx(
        prices["azure_d2s_v5_us"].value / (900 * 3600 * 0.25) * 1e6, abs=1e-6
    )
    assert row["price_date"] == "2026-09-06" and not row["meets_contract"]
    kept = [r for r in found["rows"] if r["meets_contract"]]
    assert {(r["option"], r["utilisation"]) for r in kept} == {("box at the line", 0.25), ("box at the line", 0.8)}
    assert found["recommended"]["option"] == "box at the line" and found["recommended"]["units"] == 1
    said = capsys.readouterr().out
    assert "Cheapest that keeps the contract: 1 x box at the line" in said and "usd_per_million" in said


def test_without_an_option_that_keeps_the_contract_it_says_so_and_fails(tmp_path, capsys):
    slow = tmp_path / "slow.json"
    slow.write_text(json.dumps({"speed": asdict(SPEED) | {"p99_ms": 50.0}}))
    assert bench.main(["cost", "--speed", str(slow), "--utilisation", "0.5"]) == 1
    assert "No option keeps the contract" in capsys.readouterr().out


def test_the_recommendation_is_the_cheapest_of_all_plans_that_break_nothing():
    plans = cost.plans(load_prices(), SPEED, load_contract())
    best = cost.recommend(plans)
    assert all(p.broken or p.eur_per_year >= best.eur_per_year for p in plans) and not best.broken
    assert len([p for p in plans if p.broken]) > 20


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--utilisation", "0"], "--utilisation above 0"),
        (["--utilisation", "1.2"], "at most 1"),
        (["--seconds", "0"], "--seconds must be positive"),
        (["--prices", "none.yaml"], "none.yaml: no such file"),
        (["--speed", "none.json"], "--speed"),
        (["--json", "no/folder/x.json"], "its folder does not exist"),
    ],
)
def test_wrong_options_get_one_sentence(words, says, capsys):
    assert bench.main(["cost", *words]) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said


@pytest.mark.parametrize("text", ["{}", "[1]", '{"speed": {"tiles_per_s": 1}}', '{"speed": {"call_ms": 3}}', "{"])
def test_a_file_without_speeds_is_refused(tmp_path, text, capsys):
    (tmp_path / "x.json").write_text(text)
    assert bench.main(["cost", "--speed", str(tmp_path / "x.json")]) == 2
    assert "x.json" in capsys.readouterr().err or "--speed" in text or text == "{"


def test_measured_for_real_on_a_service_and_a_function(tmp_path):
    """What comes out is a speed; how fast is for the chapter to say."""
    found = cost.measure_speed(load_contract(), 0.5)
    assert found.tiles_per_s > 0 and set(found.call_ms) == {1, cost.BATCH}
    assert found.cold_ms > found.call_ms[1] and 5_000 < found.tile_bytes < 60_000
    assert 200 < found.answer_bytes < 2_000 and 50 < found.log_bytes < 2_000
