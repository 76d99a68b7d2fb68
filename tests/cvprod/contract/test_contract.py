"""The contract: the shipped file holds together, a wrong one is refused by name, checks judge rightly."""

import math

import pytest
import yaml

from cvprod.contract import REQUIREMENTS, ContractError, load_contract, main
from cvprod.costs.prices import PriceError, load_prices
from cvprod.repo import root

SHIPPED = root() / "deploy" / "contract.yaml"


@pytest.fixture
def edited(tmp_path):
    """Write the shipped contract, changed by a function, and return the path."""

    def write(change):
        data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
        change(data)
        path = tmp_path / "contract.yaml"
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
        return path

    return write


PERFECT = {
    "p99_latency_ms": 0.1,
    "tiles_per_s": 1e6,
    "defect_recall": 1.0,
    "false_reject_rate": 0.0,
    "model_size_mb": 0.1,
    "memory_mb": 10,
    "cost_per_million_tiles_eur": 0.001,
}


def test_the_limits_follow_from_the_plants_sentences():
    contract = load_contract()
    line = contract.line
    rows = line.strip_speed_m_per_s / (line.tile_pixels * line.mm_per_pixel / 1000)
    across = math.ceil(line.strip_width_mm / (line.tile_pixels * line.mm_per_pixel))
    assert line.tiles_per_s == pytest.approx(rows * across)
    assert line.tiles_per_s <= contract.tiles_per_s.limit <= line.tiles_per_s + 1
    assert contract.p99_latency_ms.limit == pytest.approx(
        line.mark_tolerance_mm / 1000 / line.strip_speed_m_per_s * 1000
    )
    tiles_a_year = rows * across * 3600 * line.hours_per_year
    assert contract.cost_per_million_tiles_eur.limit == pytest.approx(
        line.compute_budget_eur_per_year / tiles_a_year * 1e6, rel=0.02
    )


def test_a_notebook_shows_each_limit_beside_the_sentence_it_came_from():
    contract = load_contract()
    shown = contract._repr_markdown_()
    for name in REQUIREMENTS:
        entry = next(line for line in shown.splitlines() if f"`{name}`" in line)
        assert getattr(contract, name).says in entry and getattr(contract, name).why in entry
    assert "at least 97%" in shown and "at most 10 ms" in shown


def test_a_tile_less_than_a_pixel_over_the_edge_does_not_cost_a_row():
    line = load_contract().line.model_copy(update={"strip_width_mm": 0.5 * 224 * 3})
    assert line.tiles_across == 3
    assert line.model_copy(update={"strip_width_mm": 0.5 * 224 * 3 + 1}).tiles_across == 4


def test_perfect_measurements_meet_everything_and_the_limit_itself_is_met():
    contract = load_contract()
    assert all(check.ok for check in contract.check(PERFECT))
    assert all(check.ok for check in contract.check(contract.limits()))


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_each_requirement_can_break_alone(name):
    contract = load_contract()
    limit = contract.limits()[name]
    worse = limit * (1.01 if REQUIREMENTS[name][1] == "max" else 0.99)
    broken = [check for check in contract.check(PERFECT | {name: worse}) if not check.ok]
    assert [check.name for check in broken] == [name]
    assert broken[0].status == "broken" and broken[0].measured == worse and broken[0].limit == limit


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_what_was_not_measured_is_not_met(nothing):
    checks = load_contract().check(PERFECT | {"memory_mb": nothing})
    assert [c.name for c in checks] == list(REQUIREMENTS)
    unmet = [check for check in checks if not check.ok]
    assert [(c.name, c.status, c.measured) for c in unmet] == [("memory_mb", "not measured", None)]
    assert all(check.status == "not measured" for check in load_contract().check({}))


def test_an_unknown_measurement_is_refused_by_name():
    with pytest.raises(ValueError, match=r"latency_p99.*p99_latency_ms"):
        load_contract().check({"latency_p99": 3})
    with pytest.raises(ValueError, match=r"latency_p99.*p99_latency_ms"):
        load_contract().check(PERFECT, {"latency_p99": (2, 3)})


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_an_estimate_is_decided_only_by_its_whole_interval(name):
    contract = load_contract()
    limit, better = contract.limits()[name], -1 if REQUIREMENTS[name][1] == "max" else 1

    def status(value, *ends):
        value, *ends = (limit * (1 + better * x) for x in (value, *ends))
        checks = {c.name: c for c in contract.check(PERFECT | {name: value}, {name: tuple(sorted(ends))})}
        assert all(check.ok for other, check in checks.items() if other != name)
        assert checks[name].ok == (checks[name].status == "met")
        return checks[name].status

    assert status(0.02, 0.01, 0.03) == status(0.02, 0, 0.03) == "met"  # the limit itself is met
    assert status(-0.02, -0.01, -0.03) == "broken"
    assert status(0.01, -0.01, 0.03) == status(-0.01, 0.01, -0.03) == status(0, -0.01, 0.01) == "not decided"


def test_an_interval_holds_its_estimate_and_decides_nothing_where_there_is_none():
    contract = load_contract()
    with pytest.raises(ValueError, match="memory_mb: 10 does not lie in its interval, 11 to 12"):
        contract.check(PERFECT, {"memory_mb": (11, 12)})
    nothing = {check.name: check for check in contract.check({"memory_mb": None}, {"memory_mb": (11, 12)})}
    assert nothing["memory_mb"].status == "not measured" and not nothing["memory_mb"].ok


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("tiles_per_s"), "tiles_per_s: add it"),
        (lambda d: d["line"].pop("mm_per_pixel"), "line.mm_per_pixel: add it"),
        (lambda d: d.update(p50=3), "p50: no such field"),
        (lambda d: d["memory_mb"].update(limitt=3), "memory_mb.limitt: no such field"),
        (lambda d: d["memory_mb"].update(limit=-1), "memory_mb.limit: Input should be greater than 0"),
        (lambda d: d["memory_mb"].update(limit="much"), "memory_mb.limit: Input should be a valid number"),
        (lambda d: d["memory_mb"].update(limit=True), "memory_mb.limit: Input should be a valid number"),
        (lambda d: d["memory_mb"].update(limit=math.inf), "memory_mb.limit: .*finite"),
        (lambda d: d["defect_recall"].update(limit=97), "defect_recall.limit: Input should be less than 1"),
        (lambda d: d["defect_recall"].update(why=""), "defect_recall.why: .*10 characters"),
        (lambda d: d.update(line=3), "line: "),
        (lambda d: d.update({7: 3}), "every key must be a word"),
    ],
)
def test_a_wrong_file_is_refused_with_file_and_field(edited, change, says):
    path = edited(change)
    with pytest.raises(ContractError, match=says) as error:
        load_contract(path)
    assert str(path) in str(error.value)


def test_all_wrong_fields_are_named_at_once(edited):
    path = edited(lambda d: (d.pop("tiles_per_s"), d["memory_mb"].update(limit=-1)))
    with pytest.raises(ContractError) as error:
        load_contract(path)
    assert "tiles_per_s" in str(error.value) and "memory_mb.limit" in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "breaks"),
    [
        ("strip_speed_m_per_s", 4.0, ["p99_latency_ms", "tiles_per_s", "cost_per_million_tiles_eur"]),
        ("mm_per_pixel", 0.4, ["tiles_per_s", "cost_per_million_tiles_eur"]),
        ("update_window_s", 20, ["model_size_mb"]),
    ],
)
def test_a_changed_line_cannot_leave_its_limits_behind(edited, field, value, breaks):
    with pytest.raises(ContractError) as error:
        load_contract(edited(lambda d: d["line"].update({field: value})))
    for name in REQUIREMENTS:
        assert (f"{name}.limit" in str(error.value)) == (name in breaks)


def test_stricter_limits_than_the_line_needs_are_allowed(edited):
    assert load_contract(edited(lambda d: d["p99_latency_ms"].update(limit=5))).p99_latency_ms.limit == 5


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ContractError, match=r"broken\.yaml"):
        load_contract(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"nowhere\.yaml: no such file"):
        load_contract(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "'a' is there twice"),
        ("line: {strip_speed_m_per_s: 1, strip_speed_m_per_s: 2}\n", "is there twice"),
        ("limit: 2020-13-45\n", "month must be in 1..12"),
        ("a: !!int ten\n", "not readable as YAML"),
        ("a: " + "[" * 3000 + "\n", "not readable as YAML"),
        ("a: \xfc".encode("latin-1"), "not readable as YAML"),
    ],
    ids=["twice", "twice inside", "a date that is none", "a tag", "deep", "latin-1"],
)
def test_what_yaml_alone_would_let_through_or_trip_over(tmp_path, text, says):
    path = tmp_path / "contract.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for load, error in ((load_contract, ContractError), (load_prices, PriceError)):
        with pytest.raises(error, match=says):
            load(path)
        with pytest.raises(error, match="cannot be read"):
            load(tmp_path)


def test_a_line_that_cannot_be_is_a_contract_error(edited):
    with pytest.raises(ContractError, match="numbers belong to no line"):
        load_contract(edited(lambda d: d["line"].update(strip_width_mm=1e308, mm_per_pixel=1e-300)))


def test_the_overlap_of_a_frames_tiles_may_be_left_out_and_is_less_than_a_tile(edited):
    assert load_contract(edited(lambda c: c["line"].pop("tile_overlap_pixels"))).line.tile_overlap_pixels == 64
    with pytest.raises(ContractError, match="tile_overlap_pixels: 224 is not less than a tile"):
        load_contract(edited(lambda c: c["line"].update(tile_overlap_pixels=224)))


def test_a_strip_narrower_than_a_tile_needs_one():
    assert load_contract().line.model_copy(update={"strip_width_mm": 1e-8}).tiles_across == 1


@pytest.mark.parametrize(
    "wrong", [{"p99_latency_ms": -5}, {"defect_recall": 1.7}, {"p99_latency_ms": "9"}, {"p99_latency_ms": "x"}, {3: 1}]
)
def test_what_cannot_have_been_measured_is_refused(wrong):
    with pytest.raises(ValueError, match=r"cannot have been measured|no number|not in the contract"):
        load_contract().check(wrong)


WORDS = {"says": "The phone of the inspector must last a shift.", "why": "Eight hours on one charge."}
PHONE = {
    "p99_latency_ms": {"limit": 100, **WORDS},
    "defect_recall": {"limit": 0.9, **WORDS},
    "own": {
        "battery_per_hour": {"limit": 0.12, "unit": "share", "at": "most", **WORDS},
        "frames_per_s": {"limit": 15, "unit": "frames/s", "at": "least", **WORDS},
    },
    "classes": {"names": ["fine", "dent", "rust"], "clean": "fine"},
}


def written(tmp_path, data):
    path = tmp_path / "phone.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def test_a_contract_of_ones_own_has_its_own_requirements_and_classes(tmp_path):
    contract = load_contract(written(tmp_path, PHONE))
    assert contract.class_names == ("fine", "dent", "rust") and contract.line is None and not contract.loose()
    assert list(contract.limits()) == ["p99_latency_ms", "defect_recall", "battery_per_hour", "frames_per_s"]
    measured = {"p99_latency_ms": 90, "defect_recall": 0.95, "battery_per_hour": 0.2, "frames_per_s": 20}
    checks = {c.name: c for c in contract.check(measured, {"frames_per_s": (14, 26)})}
    assert {name: c.status for name, c in checks.items()} == {
        "p99_latency_ms": "met", "defect_recall": "met", "battery_per_hour": "broken", "frames_per_s": "not decided",
    }  # fmt: skip
    assert (checks["battery_per_hour"].sign, checks["frames_per_s"].sign) == ("<=", ">=")
    assert "at least 15 frames/s" in contract._repr_markdown_() and "at most 12%" in contract._repr_markdown_()
    with pytest.raises(ValueError, match="cannot have been measured"):
        contract.check({"battery_per_hour": 1.2})
    with pytest.raises(ValueError, match=r"tiles_per_s.*battery_per_hour"):
        contract.check({"tiles_per_s": 3})
    with pytest.raises(ContractError, match="false_reject_rate: add it; it is needed here"):
        load_contract(written(tmp_path, PHONE), needs=("p99_latency_ms", "false_reject_rate"))
    with pytest.raises(ContractError, match="no line"):
        contract.follow(strip_speed_m_per_s=1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["own"]["frames_per_s"].update(at="above"), "own.frames_per_s.at: .*'most' or 'least'"),
        (lambda d: d["own"]["battery_per_hour"].update(limit=12), "own.battery_per_hour.limit: 12 is no share"),
        (lambda d: d["own"].update(memory_mb=d["own"]["frames_per_s"]), "own.memory_mb: the book has"),
        (lambda d: d["classes"].update(names=["dent", "dent"]), "dent is there twice"),
        (lambda d: d["classes"].update(clean="perfect"), "'perfect' is none of fine, dent, rust"),
        (lambda d: [d.pop(name) for name in list(d)], "expected a mapping|requires nothing"),
        (lambda d: d.update(line={}), "tiles_per_s: add it"),
    ],
)
def test_a_wrong_contract_of_ones_own_is_named(tmp_path, change, says):
    data = yaml.safe_load(yaml.safe_dump(PHONE))
    change(data)
    with pytest.raises(ContractError, match=says):
        load_contract(written(tmp_path, data))


def test_a_slower_strip_leaves_limits_behind_and_can_recompute_them(edited, capsys):
    assert not load_contract().loose()
    path = edited(lambda d: d["line"].update(strip_speed_m_per_s=1.5, compute_budget_eur_per_year=1600))
    loose = load_contract(path).loose()
    assert loose["p99_latency_ms"] == (10, 20) and set(loose) == {
        "p99_latency_ms", "tiles_per_s", "cost_per_million_tiles_eur",
    }  # fmt: skip
    made = load_contract().follow(strip_speed_m_per_s=1.5)
    assert made.p99_latency_ms.limit == pytest.approx(20) and made.tiles_per_s.limit == pytest.approx(160.7, abs=0.1)
    assert made.memory_mb == load_contract().memory_mb and not made.loose()
    assert "It was 10" in made.p99_latency_ms.why
    assert load_contract().follow(strip_speed_m_per_s=6).p99_latency_ms.limit == pytest.approx(5)  # and a faster one
    assert main([str(path)]) == 0 and "20 would do" in capsys.readouterr().out
    assert main(["--set", "strip_speed_m_per_s=1.5"]) == 0 and "<= 20 ms" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["speed=1"], ["strip_speed_m_per_s=-1"], ["strip_speed_m_per_s=fast"]])
def test_a_fact_that_no_line_has_is_named(words, capsys):
    assert main(["--set", *words]) == 1
    assert words[0].split("=")[0] in capsys.readouterr().err


def test_the_phones_contract_is_an_example_that_loads():
    contract = load_contract(root() / "deploy" / "mobile" / "contract.yaml")
    assert contract.line is None and "dent" in contract.class_names and contract.classes.clean in contract.class_names
    assert {"battery_per_hour", "frames_per_s", "p99_latency_ms"} <= set(contract.limits())


def test_facts_are_held_together_when_they_change(edited):
    contract = load_contract(SHIPPED)
    assert contract.follow(tile_overlap_pixels=32).line.tile_overlap_pixels == 32
    with pytest.raises(ContractError, match="not less than a tile"):
        contract.follow(tile_pixels=64)
    with pytest.raises(ContractError, match="0 or infinite"):
        contract.follow(strip_speed_m_per_s=1e-320)
    assert main(["--set", "tile_overlap_pixels=32"]) == 0


@pytest.mark.parametrize("name", ["", " ", "dent ", "a\nb"])
def test_a_class_without_a_name_is_refused(edited, name):
    with pytest.raises(ContractError, match="is no name"):
        load_contract(edited(lambda data: data.update(classes={"names": [name, "dent"]})))
