"""The engine: batches of what is there, a bound on waiting, deadlines, cancellation, one model in a batch."""

import asyncio
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from cvprod.serving import images as decoders
from cvprod.serving.engine import Engine
from cvprod.serving.errors import DeadlineExceeded, Draining, Overloaded
from cvprod.surface import tiles
from cvprod.traffic import hostile as pictures

JPEG = pictures.encode(pictures.GREY, "JPEG")


class Slow:
    """A model that takes a known time, counts its batches, and says in its logits which one it is."""

    def __init__(self, card, seconds=0.0, mark=0.0):
        self.card, self.seconds, self.mark, self.batches = card, seconds, mark, []

    def run(self, given):
        self.batches.append(len(given))
        time.sleep(self.seconds)
        return np.full((len(given), len(self.card.classes)), self.mark, np.float32)

    def probabilities(self, logits):
        return np.full_like(logits, 1 / logits.shape[1])


def go(work):
    return asyncio.run(work())


def test_answers_are_those_of_the_model(model):
    images = tiles("test", 30).images

    async def work():
        engine = Engine(model, budget=10)
        return await asyncio.gather(*(engine.infer(images[i : i + 3]) for i in range(0, 30, 3)))

    found = np.concatenate([r.logits for r in go(work)])
    assert np.abs(found - model.run(images)).max() < 0.3  # INT8: a batch may round in another order
    assert (found.argmax(1) == model.run(images).argmax(1)).all()
    sums = np.concatenate([r.probabilities for r in go(work)]).sum(1)
    assert np.allclose(sums, 1, atol=1e-5)


def test_what_has_arrived_runs_together_and_nothing_waits(model):
    slow = Slow(model.card)

    async def work():
        engine = Engine(slow, budget=10, max_batch=8)
        slow.batches.clear()
        await engine.inspect([JPEG])
        await asyncio.gather(*(engine.inspect([JPEG]) for _ in range(20)))
        return await engine.infer(np.zeros((20, 1, 96, 96), np.uint8))

    result = go(work)
    assert slow.batches == [1, 8, 8, 4, 8, 8, 4]
    assert result.logits.shape == (20, 7) and result.batch == 20


def test_what_arrives_while_pictures_are_decoded_joins_their_batch(model):
    slow = Slow(model.card)

    async def work():
        engine, loop, replies = Engine(slow, budget=10, max_batch=4), asyncio.get_running_loop(), []
        slow.batches.clear()
        decode = engine._decode

        def decoding(*given):
            if len(replies) < 5:
                replies.append(loop.create_future())
                loop.call_soon(engine.submit, JPEG, replies[-1])
            return decode(*given)

        engine._decode = decoding
        first = await engine.inspect([JPEG])
        while len(replies) < 5:
            await asyncio.sleep(0)
        return [first, *await asyncio.gather(*replies)]

    results = go(work)
    assert slow.batches == [4, 2] and [result.batch for result in results] == [4, 4, 4, 4, 2, 2]


def test_a_fault_of_ours_with_one_picture_is_not_its_neighbours(model):
    async def work():
        engine = Engine(model, budget=10)
        decode = engine._decode

        def decoding(pictures, *more):
            if pictures[0] == b"fault":
                raise RuntimeError("ours")
            return decode(pictures, *more)

        engine._decode = decoding
        asked = (engine.inspect([data]) for data in (JPEG, b"fault", JPEG))
        return await asyncio.gather(*asked, return_exceptions=True), engine.waiting, engine.idle

    (first, second, third), waiting, idle = go(work)
    assert isinstance(second, RuntimeError) and first.batch == third.batch == 2 and waiting == 0 and idle


def test_a_second_thread_takes_a_part_of_a_large_request_where_there_is_a_core_for_it(model):
    images = np.random.default_rng(3).integers(0, 256, (52, 1, 96, 96), np.uint8)
    seen = set()

    class Watched(Slow):
        def run(self, given):
            seen.add(threading.current_thread().name.partition("_")[0])
            time.sleep(0.01)
            return model.run(given)

        def probabilities(self, logits):
            return model.probabilities(logits)

    async def work(cores):
        engine = Engine(Watched(model.card), budget=10, cores=frozenset(cores))
        seen.clear()
        result = await engine.infer(images)
        small = await engine.infer(images[:8])
        engine.close()
        return result, small, set(seen)

    alone, _, one = asyncio.run(work(()))
    shared, small, two = asyncio.run(work(range(2)))
    assert one == {"MainThread"} and two == {"MainThread", "tiles"}
    assert (alone.logits == shared.logits).all() and shared.batch == 52 and small.batch == 8


def test_more_than_the_budget_is_refused_at_once(model):
    slow = Slow(model.card, seconds=0.005)

    async def work():
        engine = Engine(slow, budget=0.05, max_batch=1)
        start = time.perf_counter()
        outcomes = await asyncio.gather(
            *(engine.infer(np.zeros((1, 1, 96, 96), np.uint8)) for _ in range(200)), return_exceptions=True
        )
        spent = time.perf_counter() - start
        after = await engine.infer(np.zeros((1, 1, 96, 96), np.uint8))
        return outcomes, spent, after

    outcomes, spent, after = go(work)
    refused = [o for o in outcomes if isinstance(o, Overloaded)]
    taken = [o for o in outcomes if not isinstance(o, Exception)]
    assert len(refused) + len(taken) == 200 and 2 <= len(taken) <= 20
    assert max(r.queue_ms for r in taken) < 60 and spent < 0.5
    assert all(int(r.headers["Retry-After"]) >= 1 for r in refused)
    assert after.batch == 1


def test_an_empty_engine_takes_a_large_request_whatever_the_budget(model):
    async def work():
        return await Engine(model, budget=0.001).inspect([JPEG] * 40)

    assert go(work).logits.shape == (40, 7)


def test_deadlines_and_cancellation(model):
    slow = Slow(model.card, seconds=0.03)

    async def work():
        engine = Engine(slow, budget=10, max_batch=1)
        slow.batches.clear()
        blank = np.zeros((1, 1, 96, 96), np.uint8)
        first, late, gone, last = (
            asyncio.ensure_future(engine.infer(blank, timeout=t)) for t in (None, 0.01, None, 1.0)
        )
        await asyncio.sleep(0)
        gone.cancel()
        return await asyncio.gather(first, late, last, return_exceptions=True)

    first, late, last = go(work)
    assert first.batch == 1 and last.batch == 1 and isinstance(late, DeadlineExceeded)
    assert slow.batches == [1, 1]  # neither the late nor the cancelled one was computed


def test_one_model_in_a_batch_and_a_swap_between_two(model):
    old, new = Slow(model.card, mark=1.0), Slow(model.card, mark=2.0)

    async def work():
        engine = Engine(old, budget=10, max_batch=4)
        blank = np.zeros((1, 1, 96, 96), np.uint8)
        tasks = [asyncio.ensure_future(engine.infer(blank)) for _ in range(8)]
        asyncio.get_running_loop().call_later(0, engine.swap, new)
        tasks += [asyncio.ensure_future(engine.infer(blank)) for _ in range(8)]
        return await asyncio.gather(*tasks)

    for result in go(work):
        assert set(result.logits.ravel()) == {1.0 if result.model is old else 2.0}


def test_bad_pictures_among_good_ones(model):
    async def work():
        engine = Engine(model, budget=10)
        mixed = await engine.inspect([JPEG, b"no picture", JPEG])
        none = await engine.inspect([b"no picture"])
        large = await engine.inspect([pictures.sound()["large"], b"no picture"])
        return mixed, none, large

    mixed, none, large = go(work)
    assert list(mixed.faults) == [1] and np.isfinite(mixed.probabilities[[0, 2]]).all()
    assert list(none.faults) == [0] and none.batch == 0
    assert list(large.faults) == [1] and np.isfinite(large.probabilities[0]).all()


@pytest.mark.parametrize("count", [1, 3])
def test_the_loop_goes_on_while_a_small_file_of_many_pixels_is_decoded(model, count):
    bomb = pictures.png(4096, 4096, bits=1, rows=bytes(513 * 4096))
    assert len(bomb) < 5000

    async def turns(given):
        engine = Engine(model, budget=10)
        work, count = asyncio.ensure_future(engine.inspect(given)), 0
        while not work.done():
            await asyncio.sleep(0)
            count += 1
        return work.result(), count

    (result, busy), (_, quick) = go(lambda: turns([bomb] * count)), go(lambda: turns([JPEG]))
    assert not result.faults and quick < 10 < busy


def test_no_picture_is_decoded_after_the_deadline(model, monkeypatch):
    decoded = []

    def slowly(data, **options):
        decoded.append(data)
        time.sleep(0.01)
        return np.zeros((96, 96), np.uint8)

    async def work():
        engine = Engine(model, budget=10)
        monkeypatch.setattr(decoders, "to_tile", slowly)
        large = pictures.sound()["large"]
        late = await asyncio.gather(engine.inspect([large] * 64, timeout=0.05), return_exceptions=True)
        seen = len(decoded)
        return late[0], seen, await engine.inspect([large] * 3, timeout=5)

    late, seen, after = go(work)
    assert isinstance(late, DeadlineExceeded) and seen < 64
    assert after.logits.shape == (3, 7)


def test_a_draining_engine_takes_nothing_new_and_a_fault_ends_no_other_batch(model):
    class Broken(Slow):
        def run(self, given):
            if len(given) == 3:
                raise RuntimeError("broken")
            return super().run(given)

    async def work():
        engine = Engine(Broken(model.card), budget=10)
        blank = np.zeros((3, 1, 96, 96), np.uint8)
        with pytest.raises(RuntimeError):
            await engine.infer(blank)
        assert (await engine.infer(blank[:1])).batch == 1
        engine.draining = True
        with pytest.raises(Draining):
            await engine.infer(blank[:1])

    go(work)


def test_the_temperature_changes_confidence_but_no_label(model):
    logits = model.run(tiles("test", 50).images)
    hot = replace(model, card=model.card.model_copy(update={"temperature": 5.0}))
    assert (model.probabilities(logits).argmax(1) == hot.probabilities(logits).argmax(1)).all()
    assert (hot.probabilities(logits).max(1) < model.probabilities(logits).max(1)).all()
