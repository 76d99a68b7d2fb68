"""Formulas against simulation, and both against known values."""

import math

import numpy as np
import pytest

from cvprod.traffic import queueing


def simulated(rate, service, servers=1, n=120_000, seed=2):
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(1 / rate, n))
    return times, queueing.simulate(times, service(random, n), servers)


@pytest.mark.parametrize("load", [0.3, 0.7, 0.85])
def test_single_server_formulas_meet_the_simulation(load):
    mean = 0.01
    for formula, service in (
        (queueing.mm1, lambda r, n: r.exponential(mean, n)),
        (queueing.md1, lambda r, n: np.full(n, mean)),
        (lambda rate, m: queueing.mg1(rate, m, m**2 / 4), lambda r, n: r.gamma(4, mean / 4, n)),
    ):
        times, done = simulated(load / mean, service)
        assert (done - times).mean() == pytest.approx(formula(load / mean, mean), rel=0.12)


@pytest.mark.parametrize(("servers", "load"), [(2, 0.6), (5, 0.8)])
def test_many_servers_meet_the_simulation(servers, load):
    mean, rate = 0.01, servers * load / 0.01
    times, done = simulated(rate, lambda r, n: r.exponential(mean, n), servers)
    assert (done - times).mean() == pytest.approx(queueing.mmc(rate, mean, servers), rel=0.08)


def test_known_values():
    assert queueing.mm1(80, 0.01) == pytest.approx(0.05)
    assert queueing.md1(50, 0.01) == pytest.approx(0.015)
    assert queueing.mm1(100, 0.01) == math.inf == queueing.mmc(200, 0.01, 2)
    assert queueing.erlang_c(1, 0.7) == pytest.approx(0.7)
    assert queueing.erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert queueing.mmc(80, 0.01, 1) == pytest.approx(queueing.mm1(80, 0.01))
    assert queueing.erlang_c(500, 450) < 0.05  # factorials would have overflowed


def test_littles_law_holds_for_what_is_counted():
    times, done = simulated(70, lambda r, n: r.exponential(0.01, n), n=20_000)
    span = done.max() - times.min()
    assert queueing.in_system(times, done) == pytest.approx((done - times).sum() / span, rel=1e-6)


def test_servers_needed_is_the_least_that_keeps_the_wait():
    rate, mean, wait = 322 * 4, 0.005, 0.004
    n = queueing.servers_needed(rate, mean, wait)
    random, late = np.random.default_rng(2), []
    times = np.cumsum(random.exponential(1 / rate, 200_000))
    service = random.exponential(mean, times.size)
    for servers in (n - 1, n):
        waited = queueing.simulate(times, service, servers) - times - service
        late.append(float(np.mean(waited > wait + 1e-9)))
    assert late[1] <= 0.012 and late[0] > 0.008
    assert queueing.servers_needed(0, 0.01, 0.01) == 1


def test_arrivals_have_their_rate_and_follow_a_function():
    times = queueing.arrivals(200, 50, seed=1)
    assert times.size == pytest.approx(10_000, rel=0.05) and (np.diff(times) >= 0).all() and times.max() < 50
    steps = queueing.arrivals(lambda t: 300 if t >= 5 else 100, 10, seed=1, most=300)
    assert (steps < 5).sum() == pytest.approx(500, rel=0.15) and (steps >= 5).sum() == pytest.approx(1500, rel=0.15)


def test_wrong_arguments_are_refused():
    for call in (
        lambda: queueing.mg1(-1, 0.1, 0), lambda: queueing.mg1(1, 0, 0), lambda: queueing.erlang_c(2, 2),
        lambda: queueing.servers_needed(1, 0.1, 0.1, 1.0), lambda: queueing.arrivals(lambda t: 1, 5),
        lambda: queueing.simulate([1, 0], [1, 1]), lambda: queueing.simulate([0], [1], 0),
        lambda: queueing.simulate([0, 1], [1]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r".+"):
            call()
