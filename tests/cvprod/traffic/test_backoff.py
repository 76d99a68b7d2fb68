"""A caller waits as long as it is told, never all at the same moment, and not beyond its deadline."""

from types import SimpleNamespace

import numpy as np
import pytest

from cvprod.traffic import backoff


class Clock:
    """A service that gives these answers in turn, and the time that passes only while its caller sleeps."""

    def __init__(self, *answers):
        self.answers, self.now, self.slept = list(answers), 0.0, []

    def post(self):
        status, retry_after = self.answers.pop(0)
        return SimpleNamespace(status_code=status, headers={"Retry-After": retry_after} if retry_after else {})

    def sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)

    def send(self, **options):
        return backoff.send(self.post, sleep=self.sleep, clock=lambda: self.now, **{"deadline": 60.0} | options)


@pytest.mark.parametrize("status", [200, 202, 400, 401, 413, 422, 500])
def test_an_answer_that_will_not_change_is_not_asked_for_again(status):
    service = Clock((status, ""))
    assert service.send().status_code == status and service.slept == []


def test_it_comes_back_after_429_and_503_until_there_is_an_answer():
    service = Clock((429, "1"), (503, ""), (200, ""))
    assert service.send().status_code == 200
    first, second = service.slept
    assert 1 <= first <= 1.1 and 0 <= second <= 0.2


def test_after_its_tries_it_says_what_the_service_said_last():
    service = Clock((429, ""), (429, ""), (503, ""), (200, ""))
    assert service.send(tries=3).status_code == 503
    assert len(service.slept) == 2 and len(service.answers) == 1


def test_no_pause_goes_beyond_the_deadline():
    service = Clock((429, "30"), (200, ""))
    assert service.send(deadline=10).status_code == 429 and service.slept == []


def test_pauses_double_up_to_the_longest_and_differ_between_callers():
    for attempt, longest in enumerate((0.1, 0.2, 0.4, 0.8, 1.0, 1.0)):
        found = np.array([backoff.pause(attempt, most=1.0) for _ in range(300)])
        assert found.min() >= 0 and 0.9 * longest < found.max() <= longest
        assert np.histogram(found, 10, (0, longest))[0].max() < 90  # spread over the whole time, not in a heap


def test_seconds_of_the_service_are_the_least_and_a_date_is_not_read():
    waits = [backoff.pause(0, "3") for _ in range(50)]
    assert min(waits) >= 3 and max(waits) <= 3.1
    assert backoff.pause(0, "Sun, 29 Nov 2026 12:00:00 GMT") <= 0.1


@pytest.mark.parametrize("options", [{"tries": 0}, {"deadline": 0}])
def test_nothing_to_do_is_an_error(options):
    with pytest.raises(ValueError, match="at least one try"):
        Clock().send(**options)
