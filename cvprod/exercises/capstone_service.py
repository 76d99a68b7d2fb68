"""A small live service under virtual time: what the second capstone breaks, mends and carries.

Everything here runs on asyncio, on a clock that jumps to the next timer, so that a minute of load takes
milliseconds and a busy computer changes nothing. `services` makes healthy and faulty batchers, `lives` what probes see
of a pod, `Pod` is one that is to be drained, and `overload` draws the load that an admission rule has to carry.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

PROMISE_S = 1.0  # every caller has an answer or an error after so many seconds
Result = TypeVar("Result")


class Refused(Exception):
    """The service has no place left, or is closing: an honest answer, at once."""


class _Jump(selectors.SelectSelector):
    """Waits by moving the clock."""

    now = 0.0

    def select(self, timeout=None):
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.now


def run(main: Callable[[], Awaitable[Result]], limit_s: float = 600.0) -> Result:
    """Result of `await main()` on a loop of its own, in a thread of its own, with a clock that starts at 0 and jumps.

    Raises TimeoutError after limit_s virtual seconds, which come at once where everybody waits for somebody else.
    """

    async def inside() -> Result:
        return await main()  # called while the loop runs, so that it may make tasks and events

    def work() -> Result:
        loop = _VirtualLoop()
        loop.set_exception_handler(lambda *_: None)  # what a faulty service leaves behind is its business
        try:
            return loop.run_until_complete(asyncio.wait_for(inside(), limit_s))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def label(image: int) -> int | None:
    """The right answer for an image, None for a negative number, which is no image. No two below 100,003 share one."""
    return None if image < 0 else image * 7919 % 100_003


@dataclass(eq=False)
class _Item:
    image: int
    future: asyncio.Future


class Service:
    """Labels images in batches: `await ask(image)`. This one is healthy.

    It keeps three promises: a caller who waits has an answer or an error within `PROMISE_S`; the answer is that of
    the caller's own image; and a caller who leaves gives the place back. `ask` raises ValueError for what is no image
    and Refused when all `places` are taken, those waiting and those running together.
    """

    def __init__(self, max_batch: int = 8, places: int = 48, base_s: float = 0.004, image_s: float = 0.003) -> None:
        self.max_batch, self.places = max_batch, places
        self._base_s, self._image_s = base_s, image_s
        self._queue: deque[_Item] = deque()
        self._taken, self._asked = 0, 0
        self._wake = asyncio.Event()
        self._worker = asyncio.ensure_future(self._work())

    @property
    def asked(self) -> int:
        """Requests so far."""
        return self._asked

    async def ask(self, image: int) -> int:
        """The label of an image. Raises ValueError or Refused."""
        self._asked += 1
        if self._taken >= self.places:
            raise Refused
        item = _Item(image, asyncio.get_running_loop().create_future())
        self._taken += 1
        self._queue.append(item)
        self._wake.set()
        try:
            return await item.future
        finally:
            self._leave(item)

    def _leave(self, item: _Item) -> None:
        self._taken -= 1
        if item in self._queue:
            self._queue.remove(item)

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._batch()

    async def _batch(self) -> None:
        items = self._take()
        await self._compute(len(items))
        for item in items:
            self._tell(item, item.image)

    def _take(self) -> list[_Item]:
        return [self._queue.popleft() for _ in range(min(self.max_batch, len(self._queue)))]

    async def _compute(self, images: int) -> None:
        await asyncio.sleep(self._base_s + images * self._image_s)

    def _tell(self, item: _Item, image: int) -> None:
        if item.future.done():
            return
        if image < 0:
            item.future.set_exception(ValueError("not an image"))
        else:
            item.future.set_result(label(image))


class _LastOfAFullBatch(Service):
    """Takes one more than it runs when more are waiting than fit."""

    async def _batch(self) -> None:
        more = len(self._queue) > self.max_batch
        items = self._take()
        if more:
            self._queue.popleft()
        await self._compute(len(items))
        for item in items:
            self._tell(item, item.image)


class _Shifted(Service):
    """Drops what is no image, then hands out the answers by position."""

    async def _batch(self) -> None:
        items = self._take()
        good = [item.image for item in items if item.image >= 0]
        await self._compute(len(items))
        for item, image in zip(items, good + [-1] * (len(items) - len(good)), strict=True):
            self._tell(item, image)


class _DiesOfNothing(Service):
    """A batch without a single image ends the worker, and nobody starts another."""

    async def _batch(self) -> None:
        items = self._take()
        await self._compute(len(items))
        for item in items:
            self._tell(item, item.image)
        max(item.image for item in items if item.image >= 0)


class _Overtaken(Service):
    """Keeps images and callers in two lists; who leaves while waiting is taken out of one."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self._images: deque[int] = deque()

    async def ask(self, image: int) -> int:
        if self._taken < self.places:
            self._images.append(image)
        return await super().ask(image)

    async def _batch(self) -> None:
        items = self._take()
        images = [self._images.popleft() for _ in items]
        if not self._queue:
            self._images.clear()  # hides it whenever the queue runs empty
        await self._compute(len(items))
        for item, image in zip(items, images, strict=True):
            self._tell(item, image)


class _KeepsThePlace(Service):
    """A caller who leaves while the batch runs takes the place along."""

    def _leave(self, item: _Item) -> None:
        if item in self._queue:
            self._queue.remove(item)
            self._taken -= 1
        elif not item.future.cancelled():
            self._taken -= 1


class _ForgetsTheWaker(Service):
    """Clears the bell after a batch, so that nobody hears who rang meanwhile, until the next one rings."""

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            await self._batch()
            if len(self._queue) < self.max_batch:
                self._wake.clear()


class _Slow(Service):
    """Healthy: slow, and with the last answers just inside the promise."""

    async def _compute(self, images: int) -> None:
        await asyncio.sleep(0.9 * PROMISE_S / (math.ceil(self.places / self.max_batch) + 1))


class _AnswersBackwards(Service):
    """Healthy: tells the last caller of a batch first."""

    async def _batch(self) -> None:
        items = self._take()
        await self._compute(len(items))
        for item in reversed(items):
            self._tell(item, item.image)


#: What is wrong with each kind of service: the promises that it breaks.
KINDS: dict[type[Service], frozenset[str]] = {
    Service: frozenset(),
    _Slow: frozenset(),
    _AnswersBackwards: frozenset(),
    _LastOfAFullBatch: frozenset({"lost"}),
    _ForgetsTheWaker: frozenset({"lost"}),
    _DiesOfNothing: frozenset({"lost"}),
    _Shifted: frozenset({"swapped"}),
    _Overtaken: frozenset({"swapped"}),
    _KeepsThePlace: frozenset({"leaks"}),
}


@dataclass(frozen=True)
class Case:
    """A service to be judged: `make()` it on a running loop; `broken` are the promises that it breaks."""

    kind: type[Service]
    sizes: dict

    def make(self) -> Service:
        """A new one."""
        return self.kind(**self.sizes)

    @property
    def broken(self) -> frozenset[str]:
        return KINDS[self.kind]

    @property
    def story(self) -> str:
        """What is wrong with it, in a sentence."""
        return str(self.kind.__doc__).split("\n")[0]


def services(seed: int) -> list[Case]:
    """One service of each kind, in an order and of sizes that the seed draws."""
    rng = np.random.default_rng(seed)
    found = []
    for kind in (list(KINDS)[i] for i in rng.permutation(len(KINDS))):
        max_batch = int(rng.integers(4, 13))
        sizes = {"max_batch": max_batch, "places": int(rng.integers(4, 7)) * max_batch}
        sizes |= {"base_s": float(rng.uniform(0.002, 0.01)), "image_s": float(rng.uniform(0.001, 0.004))}
        found.append(Case(kind, sizes))
    return found


class Door:
    """What a caller sees of a service: `ask`, `max_batch` and `places`."""

    def __init__(self, service: Service) -> None:
        async def ask(image: int) -> int:
            return await service.ask(image)

        self.ask, self.max_batch, self.places = ask, service.max_batch, service.places


def judge(attack: Callable[[Door], Awaitable[set[str]]], case: Case, most: int = 3000, seconds: float = 60.0) -> str:
    """What is wrong with an attack on a service, or "".

    It may send `most` requests and take so many virtual seconds.
    """

    async def main() -> tuple[set[str], int]:
        service = case.make()
        return set(await attack(Door(service))), service.asked

    try:
        said, asked = run(main, seconds)
    except TimeoutError:
        return f"the attack takes more than {seconds:g} virtual seconds: wait for nobody longer than the promise"
    if asked > most:
        return f"{asked} requests: {most} are allowed"
    if said == case.broken:
        return ""
    if not case.broken:
        return f"{sorted(said)} said of a healthy service ({case.story})"
    return f"{sorted(said)} said, {sorted(case.broken)} true. This service: {case.story}"


class Network:
    """What a batcher works with. It counts: `sizes` of all runs, `ran` images in order, `at_once` runs at a time."""

    def __init__(self, base_s: float = 0.004, image_s: float = 0.003, failing: frozenset[int] = frozenset()) -> None:
        self._base_s, self._image_s, self._failing = base_s, image_s, failing
        self.sizes: list[int] = []
        self.ran: list[int] = []
        self.at_once = self._running = 0

    def decode(self, image: int) -> int:
        """The pixels of an image. Raises ValueError if it is none."""
        if image < 0:
            raise ValueError("not an image")
        return image

    async def run(self, pixels: list[int]) -> list[int]:
        """The labels of decoded images, in their order. Raises RuntimeError, for all of them, where memory runs out."""
        pixels = list(pixels)
        self.sizes.append(len(pixels))
        self.ran += pixels
        self._running += 1
        self.at_once = max(self.at_once, self._running)
        try:
            await asyncio.sleep(self._base_s + self._image_s * len(pixels))
        finally:
            self._running -= 1
        if self._failing.intersection(pixels):
            raise RuntimeError("out of memory")
        return [label(image) for image in pixels]


LONGEST_S = 3.0  # no run of a healthy service takes longer, and no request waits longer


def lives(seed: int) -> list[tuple[dict, bool, bool]]:
    """A pod second by second: (what it knows of itself, whether it can answer, whether only a restart helps).

    What it knows: `loaded` (the model is there and warm), `failed` (None, or why it could not be loaded), `draining`,
    `waiting` (requests), `oldest_s` (age of the oldest of them), `running_s` (age of the run that computes, 0 without),
    `silent_s` (since the last answer), `cpu` (share), `refused` (share of the requests), `archive_up` (a service that
    it asks for records of the coil; it answers without them, too).
    """
    rng = np.random.default_rng(seed)
    quiet = {"loaded": True, "failed": None, "draining": False, "waiting": 0, "oldest_s": 0.0, "running_s": 0.0}
    quiet |= {"silent_s": 0.0, "cpu": 0.0, "refused": 0.0, "archive_up": True}
    told: list[tuple[dict, bool, bool]] = []

    def busy(load: float, longest: float) -> dict:
        waiting, age = int(load * rng.integers(1, 8)), float(rng.uniform(0.01, longest))
        state = quiet | {"waiting": waiting, "oldest_s": age if waiting else 0.0, "running_s": age / 2}
        return state | {"silent_s": age / 2, "cpu": min(1.0, 0.4 * load), "refused": max(0.0, 1 - 2 / max(load, 2))}

    def phase(name: str) -> None:
        for second in range(int(rng.integers(20, 60))):
            t, able, lost = float(second), True, False
            if name == "load":  # its first run compiles the network
                state, able = quiet | {"loaded": False, "running_s": t, "silent_s": t, "cpu": 1.0}, False
            elif name == "fail":
                state, able, lost = quiet | {"loaded": False, "failed": "out of memory", "silent_s": t}, False, True
            elif name == "work":
                state = busy(rng.uniform(0.2, 1.5), 0.1)
            elif name == "idle":
                state = quiet | {"silent_s": 10 * t}
            elif name == "overload":
                state = busy(rng.uniform(10, 30), 0.6)
            elif name == "large":
                state = busy(1.0, 0.95 * LONGEST_S)
            elif name == "archive":
                state = busy(1.0, 0.2) | {"archive_up": False}
            elif name == "hang":
                state = quiet | {"waiting": 3 * second + 1, "oldest_s": t, "running_s": t, "silent_s": t, "cpu": 0.5}
                able, lost = False, t > LONGEST_S
            elif name == "dead":  # the worker is gone, and nobody takes what waits
                state = quiet | {"waiting": 3 * second + 1, "oldest_s": t, "silent_s": t}
                able, lost = False, t > LONGEST_S
            else:
                state, able = busy(1.0, 0.2) | {"draining": True}, False  # its door closes
            told.append((state, able, lost))

    middle = list(
        rng.permutation(["idle", "overload", "large", "archive", "work", rng.choice(["hang", "dead", "fail"])])
    )
    for name in ["load", *middle]:
        phase(str(name))
        if name in ("hang", "dead", "fail"):
            phase("load")
    phase("drain")
    return told


def kubelet(probes: Callable[[dict], tuple[bool, bool]], seed: int, per_s: int = 10) -> Counter:
    """What comes of a pod whose (ready, live) is `probes` of what it knows of itself, asked each second.

    Three times not live in a row restarts it. Counts requests `sent` and `lost` (to a pod that cannot answer),
    `turned_away` (it could have answered), restarts `for_nothing`, and seconds that it `hung` beyond ten in a state
    that only a restart ends.
    """
    seen, dead, hopeless, restarted = Counter(), 0, 0, False
    for state, able, lost in lives(seed):
        restarted = restarted and lost
        if restarted:  # what it would have been without the restart
            continue
        ready, live = probes(dict(state))
        seen["sent"] += per_s
        seen["lost"] += per_s * (bool(ready) and not able)
        seen["turned_away"] += per_s * (able and not ready)
        dead = 0 if live else dead + 1
        hopeless = hopeless + 1 if lost else 0
        if dead == 3:
            dead, restarted = 0, lost
            seen["for_nothing"] += not lost
        seen["hung"] += hopeless > 10
    return seen


@dataclass
class Pod:
    """A pod that is to go: after `grace_s` it is killed, and requests inside or outside are lost.

    A balancer looks at `ready` every `poll_s` seconds and stops sending after `misses` times false in a row.
    """

    poll_s: float
    misses: int
    grace_s: float
    ready: bool = True
    in_flight: int = 0
    open: bool = True
    lost: int = 0
    _log: dict = field(default_factory=dict)

    def close(self) -> None:
        """Take no more connections; who still comes is lost."""
        self.open = False


def retire(drain: Callable[[Pod], Awaitable[None]], seed: int, *, endless: bool = False) -> dict:
    """Ends a pod under load: SIGTERM starts `drain(pod)`, and when it returns the process ends.

    endless: one request never comes to an end. Returns `lost` (requests), `killed` (it did not end by itself),
    `spare_s` (from when nobody needed it to its end; of an endless one from the SIGTERM), `grace_s` and `poll_s`.
    """
    rng = np.random.default_rng(seed)
    pod = Pod(float(rng.choice([1.0, 2.0, 5.0])), int(rng.integers(1, 4)), float(rng.choice([30.0, 45.0, 60.0])))
    longest = 0.3 * (pod.grace_s - pod.poll_s * pod.misses)
    rate = float(rng.uniform(2, 20))

    async def main() -> dict:
        loop, tasks = asyncio.get_running_loop(), []
        state = {"sending": True, "ended": None, "last": 0.0}

        async def request(seconds: float) -> None:
            pod.in_flight += 1
            await asyncio.sleep(seconds)
            pod.in_flight -= 1
            state["last"] = loop.time()

        async def load() -> None:
            while state["sending"]:
                await asyncio.sleep(float(rng.exponential(1 / rate)))
                if not state["sending"]:
                    return
                if not pod.open or state["ended"] is not None:
                    pod.lost += 1
                else:
                    long = rng.random() < 0.05
                    tasks.append(asyncio.ensure_future(request(float(rng.uniform(0.5, 1) * longest if long else 0.05))))

        async def balancer() -> None:
            missed = 0
            while missed < pod.misses:
                await asyncio.sleep(pod.poll_s)
                missed = 0 if pod.ready else missed + 1
            state["sending"] = False
            state["last"] = max(state["last"], loop.time())

        sending = [asyncio.ensure_future(load()), asyncio.ensure_future(balancer())]
        await asyncio.sleep(float(rng.uniform(5, 10)))
        if endless:
            tasks.append(asyncio.ensure_future(request(1e6)))
            await asyncio.sleep(0)
        start, killed = loop.time(), False
        try:
            await asyncio.wait_for(drain(pod), pod.grace_s)
        except TimeoutError:
            killed = True
        state["ended"] = loop.time()
        pod.lost += pod.in_flight
        await asyncio.sleep(2 * pod.poll_s * pod.misses)  # what the balancer sends to nobody
        for task in tasks + sending:
            task.cancel()
        spare = state["ended"] - (start if endless else max(start, min(state["last"], state["ended"])))
        return {
            "lost": pod.lost - endless,
            "killed": killed,
            "spare_s": spare,
            "grace_s": pod.grace_s,
            "poll_s": pod.poll_s,
        }

    return run(main)


@dataclass(frozen=True)
class Line:
    """A service of which too much is asked: a drawn overload. Times in ms; a run of n images takes base + n * image."""

    seed: int
    budget_ms: float
    max_batch: int
    base_ms: float
    image_ms: float
    slower: float  # in the end a run takes so many times as long: one camera after the other sends larger pictures

    def arrivals(self) -> list[float]:
        """When requests come, in ms: single ones, bursts, then far more than can be carried, then single ones."""
        rng = np.random.default_rng(self.seed)
        full = self.base_ms + self.max_batch * self.image_ms
        most = self.max_batch / (full * self.slower)  # images a ms
        times, t = [], 0.0
        for until, load in ((60, 0.3), (150, 0.0), (400, float(rng.uniform(2, 5))), (450, 0.3)):
            while t < until * full:
                if load:
                    t += float(rng.exponential(1 / (load * most)))
                    times.append(t)
                else:
                    t += 12 * full
                    times += [t] * int(rng.integers(2, 4 * self.max_batch))
        return times

    def run_ms(self, images: int, started: float, rng: np.random.Generator) -> float:
        """How long a run takes that starts at that time."""
        full = self.base_ms + self.max_batch * self.image_ms
        factor = float(np.interp(started / full, (180, 300), (1.0, self.slower)))
        return factor * (self.base_ms + images * self.image_ms) * float(rng.lognormal(0, 0.03))


def overload(seed: int) -> Line:
    """A line that the seed draws."""
    rng = np.random.default_rng(seed)
    max_batch, base, image = int(rng.integers(4, 17)), float(rng.uniform(0.5, 3)), float(rng.uniform(0.3, 1.5))
    slower = float(rng.uniform(1.2, 1.8))
    full = slower * (base + max_batch * image)
    return Line(
        seed, float(rng.choice([rng.uniform(1.4, 2), rng.uniform(2.5, 6)])) * full, max_batch, base, image, slower
    )


def carry(admission, line: Line) -> dict:
    """Let `admission` decide who comes in, and count what becomes of it.

    Its `arrives(waiting, running, since_ms)` says whether one more may come in behind so many waiting, while `running`
    images have been computed for since_ms (0 and 0.0 when nothing runs); `finished(images, ms)` tells it of each run.
    Returns `admitted`, `refused`, `in_time` (answers within the budget) and `p99_ms` of those that came in.
    """
    rng = np.random.default_rng([line.seed, 1])
    waiting: deque[float] = deque()
    batch: list[float] = []
    started, until = 0.0, math.inf
    latencies, refused = [], 0

    def start(now: float) -> None:
        nonlocal batch, started, until
        batch = [waiting.popleft() for _ in range(min(line.max_batch, len(waiting)))]
        started, until = now, now + line.run_ms(len(batch), now, rng) if batch else math.inf

    def finish() -> None:
        now = until
        latencies.extend(now - t for t in batch)
        admission.finished(len(batch), now - started)
        start(now)

    for t in line.arrivals():
        while until <= t:
            finish()
        if admission.arrives(len(waiting), len(batch), t - started if batch else 0.0):
            waiting.append(t)
            if not batch:
                start(t)
        else:
            refused += 1
    while batch:
        finish()
    late = np.asarray(latencies or [0.0])
    return {
        "admitted": len(latencies),
        "refused": refused,
        "in_time": int((late <= line.budget_ms).sum()) if latencies else 0,
        "p99_ms": float(np.quantile(late, 0.99)),
    }


class Informed:
    """Admission that knows what nobody knows beforehand, how long runs take: what others are measured against.

    It lets in as many as wait no longer than a share of the budget where all goes badly: the run before them has just
    begun, and the runs are as large as they can be.
    """

    def __init__(self, line: Line, share: float = 0.9) -> None:
        self.line, self.share, self.factor = line, share, 1.0

    def arrives(self, waiting: int, running: int, since_ms: float) -> bool:
        """Is there room behind those who wait?"""
        return not running or self._worst_ms(waiting + 1) <= self.share * self.line.budget_ms

    def finished(self, images: int, ms: float) -> None:
        """Follows the pictures as they become larger."""
        self.factor += 0.2 * (ms / (self.line.base_ms + images * self.line.image_ms) - self.factor)

    def _worst_ms(self, waiting: int) -> float:
        most = self.line.max_batch
        runs = [min(waiting, most)] + [most] * math.ceil(waiting / most - 1) + [min(waiting, most)]
        return self.factor * sum(self.line.base_ms + n * self.line.image_ms for n in runs)
