"""The second capstone's laboratory: a clock that jumps, services as ill as they say, and what carries a line."""

import asyncio
import contextlib
import time

import pytest

from cvprod.exercises import capstone_service as lab


def test_a_minute_of_virtual_time_takes_no_minute():
    async def main():
        await asyncio.gather(*(asyncio.sleep(seconds) for seconds in (60, 3600)))
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert lab.run(main, 4000) == pytest.approx(3600)
    assert time.monotonic() - began < 30


def test_waiting_for_ever_ends_at_the_limit():
    async def forever():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        lab.run(forever, 5)


def test_labels_tell_images_apart():
    assert len({lab.label(image) for image in range(5000)}) == 5000 and lab.label(-1) is None


@pytest.mark.parametrize("case", lab.services(3), ids=lambda case: case.kind.__name__)
def test_every_service_answers_polite_people(case):
    """The faults show under a load that looks for them, and under no other."""

    async def polite():
        service = case.make()
        return [await service.ask(image) for image in range(20)]

    assert lab.run(polite) == [lab.label(image) for image in range(20)]


@pytest.mark.parametrize("case", [c for c in lab.services(4) if not c.broken], ids=lambda case: case.kind.__name__)
def test_healthy_services_keep_their_promises_when_they_are_full(case):
    async def crowd():
        service, loop = case.make(), asyncio.get_running_loop()

        async def one(image):
            try:
                said = await service.ask(image)
            except lab.Refused:
                return None
            assert said == lab.label(image)
            return loop.time()

        waves = []
        for wave in range(10):
            waves += [asyncio.ensure_future(one(100 * wave + k)) for k in range(service.places)]
            await asyncio.sleep(0.05)
        began = [0.05 * (k // service.places) for k in range(len(waves))]
        ended = await asyncio.gather(*waves)
        return [end - start for start, end in zip(began, ended, strict=True) if end is not None]

    took = lab.run(crowd)
    assert took and max(took) <= lab.PROMISE_S


def test_a_judge_names_what_is_wrong_with_an_attack():
    async def hammer(service):
        for _ in range(3001):
            with contextlib.suppress(TimeoutError, lab.Refused):
                await asyncio.wait_for(service.ask(1), 0.0001)
        return set()

    async def sleeper(service):
        await asyncio.sleep(100)

    healthy = next(case for case in lab.services(0) if case.kind is lab.Service)
    assert "requests" in lab.judge(hammer, healthy)
    assert "60 virtual seconds" in lab.judge(sleeper, healthy)


def test_each_seed_draws_its_own_line_and_the_informed_rule_carries_it():
    for seed in range(8):
        line = lab.overload(seed)
        assert line == lab.overload(seed) != lab.overload(seed + 1)
        seen = lab.carry(lab.Informed(line), line)
        assert seen["p99_ms"] <= line.budget_ms and seen["refused"] > seen["admitted"] / 4
