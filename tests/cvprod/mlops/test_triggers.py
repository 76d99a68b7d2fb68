"""The year: nobody looks ahead, the policies do what they say, and the score is of the model that was live."""

import numpy as np
import pytest

from cvprod.mlops import heads, triggers
from cvprod.mlops.tiles import Embedded
from cvprod.surface import CLASSES

RNG = np.random.default_rng(8)
START = heads.shipped().head


def stretch(n, seed, shift=0.0):
    """Embeddings that the shipped layer reads nearly without a mistake; `shift` moves the classes into each other."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 7, n)
    towards = np.linalg.pinv(START.weight.astype(np.float64))  # (96, 7): what raises one logit
    x = 6 * (np.eye(7)[y] - 1 / 7) @ towards.T
    moved = 6 * np.eye(7)[(y + 1) % 7] @ towards.T
    noise = rng.normal(0, 0.3, (n, 96))
    return Embedded((x + shift * moved + noise).astype(np.float32), y)


def year(change=20, shift=1.2):
    weeks = []
    for number in range(triggers.WEEKS):
        now = shift if number >= change else 0.0
        parts = (stretch(60, 1000 + number, now), stretch(20, 2000 + number, now), stretch(240, 3000 + number, now),
                 stretch(100, 4000 + number, now))  # fmt: skip
        weeks.append(triggers.Week(number, "changed" if now else "usual", *parts))
    return weeks


@pytest.fixture(scope="module")
def played():
    weeks, base = year(), stretch(360, 7)
    return weeks, base, {name: triggers.play(p, weeks, base, draws=60) for name, p in triggers.POLICIES.items()}


def test_the_layer_alone_suffers_from_the_change(played):
    weeks, _, told = played
    accuracy = told["never"].accuracy
    assert np.mean(accuracy[:20]) > 0.9 > 0.75 > np.mean(accuracy[20:])
    assert told["never"].trained == [] and told["never"].labels == 0
    assert accuracy[3] == START.accuracy(weeks[3].seen.x, weeks[3].seen.y)


def test_each_policy_trains_when_it_says(played):
    told = played[2]
    assert told["monthly"].trained == list(range(4, triggers.WEEKS, 5))
    assert 20 in told["drift"].trained
    first = told["label error"].trained[0]
    assert 20 + triggers.DELAY <= first <= 20 + triggers.DELAY + 3, "labels come late, and not before the change"
    assert told["both"].trained[0] == 20, "a drift orders labels at once"
    assert len(told["both"].trained) < len(told["monthly"].trained)


def test_whoever_retrains_beats_the_one_that_never_does(played):
    told = played[2]
    assert all(told[name].composite > told["never"].composite + 0.05 for name in triggers.POLICIES if name != "never")
    assert told["both"].labels > len(told["both"].trained) * triggers.BOUGHT, "asking costs labels too"


@pytest.mark.parametrize("name", triggers.POLICIES)
def test_nobody_looks_ahead(name):
    """Another future, the same past: what was decided until then is the same."""
    base, cut = stretch(360, 7), 30
    one, other = year(), year()
    other[cut:] = [triggers.Week(w.number, w.name, *(stretch(len(t), 9000 + w.number, 2.0) for t in
                   (w.seen, w.audited, w.stock, w.spare))) for w in other[cut:]]  # fmt: skip
    a, b = (triggers.play(triggers.POLICIES[name], weeks, base, draws=40) for weeks in (one, other))
    assert a.accuracy[:cut] == b.accuracy[:cut]
    assert [w for w in a.trained if w < cut] == [w for w in b.trained if w < cut]


def test_a_quiet_year_has_about_the_stated_number_of_false_alarms():
    weeks, base = year(change=99), stretch(360, 7)
    assert len(triggers.play(triggers.drift, weeks, base).trained) <= 6
    assert triggers.play(triggers.label_error, weeks, base).trained == []


def test_the_drawn_year_tells_its_regimes_and_never_mixes_what_scores_with_what_trains():
    weeks = triggers.simulate()
    names = [week.name for week in weeks]
    assert len(weeks) == 52 and names[0] == "routine" and names[-1].endswith("crazing accepted")
    for week in weeks[::10]:
        seen = {row.tobytes() for row in week.seen.x}
        others = [{row.tobytes() for row in part.x} for part in (week.stock, week.audited, week.spare)]
        assert len(seen.union(*others)) == len(seen) + sum(map(len, others))
    crazing = CLASSES.index("crazing")
    assert (weeks[35].stock.y == crazing).any() and not (weeks[45].stock.y == crazing).any()
    assert np.array_equal(weeks[35].stock.x, weeks[45].stock.x), "no picture shows the customer's change of mind"
