"""Gate and canary: a better candidate passes, planted faults do not, and what is missing never opens a gate."""

import numpy as np
import pytest

from cvprod.mlops import gates

RNG = np.random.default_rng(5)
LABELS = np.arange(700) % 7


def answers(accuracy, seed=0, *, labels=LABELS):
    """Classes that are right with this probability; a wrong one is another defect, or a defect for clean."""
    rng = np.random.default_rng(seed)
    wrong = np.where(labels == gates.CLEAN, 1, np.where(labels == 1, 2, 1))
    return np.where(rng.random(len(labels)) < accuracy, labels, wrong)


def sets(fresh, reference, champion=(0.85, 0.97)):
    return {
        "fresh": (LABELS, answers(champion[0], 1), answers(fresh, 2)),
        "reference": (LABELS, answers(champion[1], 3), answers(reference, 4)),
    }


def test_a_better_candidate_passes_with_its_numbers():
    verdict = gates.gate(sets(0.97, 0.97))
    assert verdict.decision == "pass" and verdict.reasons == ()
    assert verdict.evidence["fresh.gain"] > 0.08
    assert verdict.evidence["fresh.candidate"] > 0.95 and 0.8 < verdict.evidence["fresh.champion"] < 0.9


@pytest.mark.parametrize(("fresh", "reference", "named"), [(0.7, 0.97, "fresh"), (0.97, 0.6, "reference")])
def test_a_worse_candidate_is_refused_by_the_set_that_shows_it(fresh, reference, named):
    verdict = gates.gate(sets(fresh, reference))
    assert verdict.decision == "refuse" and any(reason.startswith(named) for reason in verdict.reasons)


def test_no_gain_on_fresh_tiles_is_a_reason_to_keep_the_champion():
    same = answers(0.97, 1)
    verdict = gates.gate({"fresh": (LABELS, same, same), "reference": (LABELS, same, same)})
    assert verdict.decision == "refuse" and verdict.reasons[0].startswith("fresh")


def test_missed_defects_break_the_contract_whatever_the_accuracy_says():
    blind = np.where((LABELS > 0) & (np.arange(700) % 10 == 3), gates.CLEAN, LABELS)
    verdict = gates.gate({"fresh": (LABELS, answers(0.5), blind), "reference": (LABELS, answers(0.9), LABELS)})
    assert any("defect_recall is broken" in reason for reason in verdict.reasons)


def test_what_is_missing_refuses():
    good = sets(0.97, 0.97)
    assert gates.gate({"reference": good["reference"]}).decision == "refuse"
    assert gates.gate({}).decision == "refuse"
    few = {name: tuple(part[:60] for part in three) for name, three in good.items()}
    assert "at least 100" in gates.gate(few).reasons[0]
    cut = good | {"fresh": (LABELS, LABELS, LABELS[:-1])}
    assert gates.gate(cut).decision == "refuse"
    no_clean = LABELS[LABELS != gates.CLEAN]
    only_defects = {"fresh": (no_clean, answers(0.5, labels=no_clean), no_clean), "reference": good["reference"]}
    assert any("not measured" in reason for reason in gates.gate(only_defects).reasons)


def test_the_canary_promotes_holds_and_rolls_back():
    champion = answers(0.85, 1)
    assert gates.canary(LABELS, champion, answers(0.97, 2)).decision == "promote"
    assert gates.canary(LABELS, champion, answers(0.6, 2)).decision == "roll back"
    assert gates.canary(LABELS[:5], champion[:5], LABELS[:5]).decision == "hold"
    assert gates.canary(LABELS[:0], champion[:0], LABELS[:0]).decision == "hold"
    with pytest.raises(ValueError):
        gates.canary(LABELS, champion[:-1], LABELS)
