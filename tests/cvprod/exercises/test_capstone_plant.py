"""What the first capstone draws: the same for a seed, as its text says, and with an answer."""

from collections import Counter

import numpy as np
import pytest

from cvprod.exercises import capstone_plant as plant


def test_same_seed_draws_the_same_plant_and_another_seed_another_one():
    for draw in (plant.said, plant.bench, plant.outputs):
        assert repr(draw(5)) == repr(draw(5)) != repr(draw(6))


def test_sentences_hold_the_numbers():
    said = plant.said(3)
    sentences = " ".join(said["sentences"].values())
    for name in (
        "strip_speed_m_per_min",
        "mark_tolerance_mm",
        "missed_of_a_thousand",
        "link_kbit_per_s",
        "eur_per_year",
    ):
        assert str(said[name]) in sentences, name


def test_rows_are_those_that_two_processors_recorded():
    """INT8 of the large network gains where bytes are multiplied, and bfloat16 loses where it is not known."""
    rows = plant.bench(1).truth
    assert rows["ort_fp32", "b"][0] / rows["ort_int8", "b"][0] > 2 * rows["ort_fp32", "a"][0] / rows["ort_int8", "a"][0]
    assert rows["bf16", "a"][0] > rows["baseline", "a"][0] and rows["bf16", "b"][0] < rows["baseline", "b"][0]


def test_no_single_answer_is_right_for_many_plants():
    benches = [plant.bench(seed) for seed in range(60)]
    choices = [None, *benches[0].truth]
    assert max(sum(not bench.fault(choice) for bench in benches) for choice in choices) < 0.4 * len(benches)


def test_a_choice_that_is_in_no_row_is_named():
    assert "in no row" in plant.bench(0).fault(("quantum", "a"))


@pytest.mark.parametrize(("recall", "rejects"), [(0.97, 0.1), (0.95, 0.05)])
def test_thresholds_exist_where_it_says_so(recall, rejects):
    for seed in range(20):
        tiles, possible = plant.validation(seed, recall, rejects)
        kept = [plant.Validation.truth(tiles, t) for t in np.quantile(tiles.score, np.linspace(0.01, 0.99, 300))]
        assert any(found >= recall and rejected <= rejects for found, rejected in kept) == possible


def test_every_skew_is_drawn_and_only_some_change_decisions():
    seen = [plant.outputs(seed) for seed in range(100)]
    assert set(Counter(skew for *_, skew in seen)) == set(plant.SKEWS)
    for reference, shipped, skew in seen:
        agree = np.mean(reference.argmax(1) == shipped.argmax(1))
        assert (agree > 0.97) == (skew in ("same", "probabilities")), skew
