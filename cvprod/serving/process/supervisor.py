"""The process that owns the port. It accepts connections, hands each to the worker that has fewest, restarts workers
that die, swaps models in all of them or in none, and drains them at the end. It never looks into a request, so nothing
that a client sends can stop it.

Connections are handed over rather than accepted by the workers themselves, because the kernel spreads them by chance:
of eight connections one worker would often get six, and its callers would wait while the other worker idles.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

from cvprod.serving.card import ModelError, keep
from cvprod.serving.logs import log
from cvprod.serving.settings import Settings, SettingsError, authority

_START_SECONDS = 60.0


#: Connections that wait, at most, while no worker has room; more are closed, and a load balancer tries elsewhere.
_HELD = 1024
_AGAIN = 0.05  # seconds until a worker that had no room is tried again, should it say nothing before
_TESTER_SECONDS = 30.0  # that a new model waits for a worker that can test it
_ROOM = 512 * 1024  # bytes of metrics that a worker may write
_PAUSE = 0.1  # seconds without accepting, where there are no descriptors left


@dataclass(eq=False)
class _Worker:
    index: int
    channel: socket.socket
    card: Path
    pid: int = 0
    ready: bool = False
    spare: bool = False  # has loaded the model, and gets no connections until somebody dies
    connections: int = 0
    error: str = ""
    answers: list[asyncio.Future] = field(default_factory=list)
    outbox: deque[bytes] = field(default_factory=deque)  # what its channel had no room for


class Supervisor:
    """Run `settings.workers` workers behind one socket until SIGTERM or SIGINT. SIGHUP loads the model again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.workers: dict[int, _Worker] = {}
        # Of several workers the others take over. One alone has somebody who is ready to.
        self.processes = settings.workers + (1 if settings.spare and settings.workers == 1 else 0)
        self.stopping = False
        self.failures = 0
        self.nursery: subprocess.Popen | None = None
        self._to_nursery: socket.socket | None = None
        self._held: deque[socket.socket] = deque()
        # Half of the descriptors stay free: a worker that must be replaced needs some.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._room = _HELD if descriptors == resource.RLIM_INFINITY else min(_HELD, descriptors // 2)
        self._again: asyncio.TimerHandle | None = None
        self._own: list[Path] = []  # folders that go when we go
        self._starting: asyncio.Task[int] | None = None
        self._swapping = asyncio.Lock()
        self._building = asyncio.Lock()
        self._done = asyncio.Event()
        self._tasks: set[asyncio.Task] = set()

    def _bind(self, port: int) -> socket.socket:
        """A socket on the service's address that nobody else has. Raises SettingsError."""
        host = self.settings.host
        bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, port))
        except (OSError, OverflowError) as error:
            bound.close()
            raise SettingsError(
                f"cannot listen on {authority(host, port)}: {getattr(error, 'strerror', error)}"
            ) from None
        return bound

    def _listen(self) -> socket.socket:
        listener = self._bind(self.settings.port)
        listener.listen(2048)
        listener.setblocking(False)
        return listener

    async def run(self) -> int:
        """Exit status: 0 after a clean end, 3 when no worker can load the model. Raises ModelError, SettingsError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: self._spawn(self._stop()))
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._swap(None)))
        try:
            self._open()
            self._starting = loop.create_task(self._start_all())
            await asyncio.wait([self._starting])
            if not self.stopping and (status := self._starting.result()):
                return status
            await self._done.wait()
            return 0
        finally:
            self.stopping = True  # also after a failed start: what is killed here is not to be replaced
            for pid in [worker.pid for worker in self.workers.values() if worker.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self.nursery is not None:
                self.nursery.kill()
                self.nursery.wait()
            await loop.shutdown_default_executor()  # a thread that still folds metrics would write to their folder
            for folder in self._own:
                shutil.rmtree(folder, ignore_errors=True)

    def _open(self) -> None:
        """What workers need before there are any. Raises ModelError, SettingsError."""
        self.metrics = Path(tempfile.mkdtemp(prefix="cvprod-metrics-"))
        self._own.append(self.metrics)
        free = shutil.disk_usage(self.metrics).free
        if free < _ROOM * (self.settings.workers + 1):
            raise SettingsError(
                f"{self.metrics.parent} has {free // 1024} kB left, too little for the metrics of "
                f"{self.settings.workers} workers: make room, or name another folder with TMPDIR"
            )
        if self.settings.state is None:
            self.state = Path(tempfile.mkdtemp(prefix="cvprod-state-"))
            self._own.append(self.state)
        else:
            self.state = Path(self.settings.state)
            self.state.mkdir(parents=True, exist_ok=True)
        self.card = keep(self.settings.model, self.state / "models", self.settings.model_keys)
        if self.settings.grpc_port:
            # The workers share the port, and the kernel would let another service share it, too: half of the callers
            # would get somebody else's model. Who is alone can bind it without sharing.
            self._bind(self.settings.grpc_port).close()
        self.socket = self._listen()
        self.port = self.socket.getsockname()[1]

    async def _start_all(self) -> int:
        """Exit status; 0 once the service listens."""
        if not await self._open_nursery():
            log.error("start", extra={"event": "no-worker-starts"})
            return 1
        for index in range(self.processes):
            await self._start(index)
        if not await self._all_ready():
            return 3
        place = authority(self.settings.host, self.port)
        log.info("listening", extra={"event": "listening", "port": self.port, "detail": place})
        print(f"Listening on http://{place}", flush=True)
        asyncio.get_running_loop().add_reader(self.socket.fileno(), self._accept)
        return 0

    async def _all_ready(self) -> bool:
        until = time.monotonic() + _START_SECONDS
        while True:
            if self.workers and all(w.ready for w in self.workers.values()) and len(self.workers) == self.processes:
                return True
            if self.failures >= 3 * self.settings.workers or time.monotonic() > until:
                log.error("start", extra={"event": "no-worker-starts"})
                return False
            await asyncio.sleep(0.02)

    def _spawn(self, work: Coroutine) -> None:
        """A task that is held until it is done: the loop itself holds only weak references."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- workers ---

    async def _open_nursery(self) -> bool:
        """Start the process that workers are forked from; True once it has loaded what they need."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {
            **os.environ, "CVPROD_SETTINGS": self.settings.model_copy(update={"state": self.state}).model_dump_json(),
            "PROMETHEUS_MULTIPROC_DIR": str(self.metrics), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",  # as it is loaded it would look for a place to keep a number for this device
        }  # fmt: skip
        here = str(Path(__file__).resolve().parents[3])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [here, environment.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "cvprod.serving.process.worker", str(theirs.fileno())]
        self.nursery = subprocess.Popen(command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()
        ours.setblocking(False)
        self._to_nursery = ours
        try:
            said = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 16), _START_SECONDS)
        except (OSError, TimeoutError):
            said = b""
        if said != b"R":
            return False
        asyncio.get_running_loop().add_reader(ours.fileno(), self._nursery_gone)
        return True

    def _nursery_gone(self) -> None:
        """Somebody killed it. The workers live on; a new one is built before the next of them is needed."""
        assert self._to_nursery is not None
        asyncio.get_running_loop().remove_reader(self._to_nursery.fileno())
        if not self.stopping:
            log.warning("nursery", extra={"event": "nursery-died"})
            self._spawn(self._rebuild_nursery())

    async def _rebuild_nursery(self) -> None:
        async with self._building:
            if self.nursery is not None and self.nursery.poll() is None and self._to_nursery is not None:
                with contextlib.suppress(OSError):
                    self._to_nursery.getpeername()
                    return  # it is there: somebody else was faster
            if self._to_nursery is not None:
                self._to_nursery.close()
            if self.nursery is not None:
                self.nursery.kill()
                self.nursery.wait()
            await self._open_nursery()

    async def _start(self, index: int) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        serving = sum(not worker.spare for worker in self.workers.values())
        worker = self.workers[index] = _Worker(index, ours, self.card, spare=serving >= self.settings.workers)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._heard, worker)
        with theirs:
            for _ in range(3):
                async with self._building:  # not while a new nursery is on its way
                    pass
                try:
                    assert self._to_nursery is not None
                    socket.send_fds(
                        self._to_nursery, [f"{index} {worker.spare:d} {self.card}".encode()], [theirs.fileno()]
                    )
                    break
                except OSError:
                    await self._rebuild_nursery()

    def _heard(self, worker: _Worker) -> None:
        while True:
            try:
                data = worker.channel.recv(65536)
            except BlockingIOError:
                self._hand_on()
                return
            except OSError:
                data = b""
            if not data:
                self._lost(worker)
                return
            kind, text = data[:1], data[1:].decode(errors="replace")
            if kind == b"-":
                worker.connections -= 1
            elif kind == b"R":
                worker.pid, self.failures = int(text), 0
                if worker.card == self.card and not self._swapping.locked():
                    self._now_ready(worker)
                else:
                    self._spawn(self._catch_up(worker))
            elif kind in (b"p", b"s", b"e"):
                worker.error = text if kind == b"e" else ""
                while worker.answers:
                    answer = worker.answers.pop()
                    if not answer.done():
                        answer.set_result(text if kind == b"e" else "")
            elif kind == b"L":
                number, _, card = text.partition(" ")
                self._spawn(self._swap(Path(card) if card else None, (worker, number)))

    def _now_ready(self, worker: _Worker) -> None:
        worker.ready = True
        self._promote()
        self._hand_on()
        log.info("worker", extra={"event": "worker-ready", "worker": worker.index})
        if self._started():  # it takes the place of one that died, which is gone by now if it took its time to end
            self._spawn(self._fold_dead(None))

    def _started(self) -> bool:
        """Whether all workers of the start have been ready, or were given up."""
        return self._starting is not None and self._starting.done()

    def _promote(self) -> None:
        """A spare that is ready takes the place of a worker that is not. There may be two workers then, and one more
        spare only after the next death."""
        spare = next((w for w in self.workers.values() if w.spare and w.ready), None)
        serving = sum(w.ready and not w.spare for w in self.workers.values())
        if self._started() and spare is not None and serving < self.settings.workers:
            spare.spare = False
            self._send(spare, b"U")

    async def _catch_up(self, worker: _Worker) -> None:
        """The model was swapped while this worker started: it must not serve the old one."""
        async with self._swapping:
            if self.workers.get(worker.index) is not worker:
                return
            if worker.card != self.card:
                fault = await self._say(worker, b"P" + str(self.card).encode()) or await self._say(worker, b"S")
                if fault:
                    with contextlib.suppress(OSError):
                        os.kill(worker.pid, signal.SIGKILL)  # another one will be started, with the model of today
                    return
                worker.card = self.card
            self._now_ready(worker)

    def _lost(self, worker: _Worker) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(worker.channel.fileno())
        worker.channel.close()
        for answer in worker.answers:
            if not answer.done():
                answer.set_result("a worker died")
        with contextlib.suppress(KeyError):
            if self.workers[worker.index] is worker:
                del self.workers[worker.index]
        if not self.stopping:
            self._promote()
        self._spawn(self._bury(worker))

    async def _bury(self, worker: _Worker) -> None:
        if self.stopping:
            if not self.workers:
                self._done.set()
            return
        await self._fold_dead(worker.pid)
        self.failures += 0 if worker.ready else 1
        reason = worker.error or "it was killed, or crashed"
        log.warning("worker", extra={"event": "worker-died", "worker": worker.index, "reason": reason})
        # A worker that served is replaced at once; one that cannot even start, more and more slowly.
        await asyncio.sleep(min(10.0, 0.1 * 2**self.failures) if self.failures else 0.0)
        if not worker.pid:  # it may not have been gone quite when its channel was
            await self._fold_dead(None)
        if not self.stopping and worker.index not in self.workers:
            await self._start(worker.index)

    async def _fold_dead(self, known: int | None) -> None:
        """Add up what processes that are gone have counted: the `known` one, workers that died before they could tell
        their number, and those that workers are forked from."""
        from cvprod.serving.metric_files import fold, fold_dead

        if self.stopping:  # nobody will read them
            return
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            if known:
                await loop.run_in_executor(None, fold, self.metrics, known)
            await loop.run_in_executor(None, fold_dead, self.metrics)

    # --- connections ---

    def _accept(self) -> bool:
        """Take in who waits, but no more than 64 in one turn. Whether there may be more."""
        for _ in range(64):
            try:
                connection, _ = self.socket.accept()
            except BlockingIOError:
                return False
            except ConnectionError:  # the caller has left already
                continue
            except OSError as error:
                # No descriptors. Whoever is in the queue keeps the socket readable: we would be called without end.
                log.warning("accept", extra={"event": "accept-failed", "reason": error.strerror})
                asyncio.get_running_loop().remove_reader(self.socket.fileno())
                asyncio.get_running_loop().call_later(_PAUSE, self._accept_again)
                return False
            if not self._held and self._hand_over(connection):
                connection.close()
            elif len(self._held) < self._room:
                self._held.append(connection)  # behind those who came before
                self._try_again()
            else:
                connection.close()
        return True

    def _accept_again(self) -> None:
        if self.socket.fileno() >= 0:
            asyncio.get_running_loop().add_reader(self.socket.fileno(), self._accept)

    def _hand_over(self, connection: socket.socket) -> bool:
        for worker in sorted(self._ready(), key=lambda w: w.connections):
            if worker.outbox or worker.spare:
                continue
            try:
                socket.send_fds(worker.channel, [b"C"], [connection.fileno()])
            except OSError:  # dying, or so far behind that its channel is full
                continue
            worker.connections += 1
            return True
        return False

    def _hand_on(self) -> None:
        """Whatever found no room, as far as there is room now: messages first, then connections, the oldest first."""
        for worker in self.workers.values():
            if worker.outbox:
                self._flush(worker)
        while self._held and self._hand_over(self._held[0]):
            self._held.popleft().close()

    def _try_again(self) -> None:
        """A worker that takes from its channel does not say so, unless a connection ends."""
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(_AGAIN, self._tried)

    def _tried(self) -> None:
        self._again = None
        for connection in list(self._held):
            if _gone(connection):
                self._held.remove(connection)
                connection.close()
        self._hand_on()
        if self._held or any(worker.outbox for worker in self.workers.values()):
            self._try_again()

    def _send(self, worker: _Worker, message: bytes) -> bool:
        """Tell a worker something, later where its channel is full. False where it is dead."""
        worker.outbox.append(message)
        return self._flush(worker)

    def _flush(self, worker: _Worker) -> bool:
        while worker.outbox:
            try:
                worker.channel.send(worker.outbox[0])
            except BlockingIOError:
                self._try_again()
                return True
            except OSError:
                worker.outbox.clear()
                return False
            worker.outbox.popleft()
        return True

    # --- models ---

    async def _swap(self, model: Path | None, asked: tuple[_Worker, str] | None = None) -> None:
        """Two phases: every worker loads and tests the new model; only if all have, all switch.

        asked: the worker that is told what became of it, and its number for that.
        """
        until = time.monotonic() + _TESTER_SECONDS
        while True:
            # Not inside the lock: a worker that starts while a swap is under way becomes ready only after it.
            while not self.stopping and not self._ready() and time.monotonic() < until:
                await asyncio.sleep(0.02)
            async with self._swapping:
                try:
                    card = await asyncio.get_running_loop().run_in_executor(
                        None, keep, model or self.settings.model, self.state / "models", self.settings.model_keys
                    )
                    faults = await self._all_say(b"P" + str(card).encode())
                    if not faults and not self.stopping and time.monotonic() < until:
                        continue  # the last worker has died just now
                    # What no worker has tested may be a model that none can start with.
                    refused = next((f for f in faults if f), "") if faults else "no worker was there to test the model"
                except ModelError as error:
                    refused = str(error)
                except OSError:
                    refused = "the model's copy could not be written: look at the disk of the service"
                if refused:
                    log.error("model", extra={"event": "model-refused", "reason": refused})
                    for worker in self.workers.values():
                        self._send(worker, b"A")
                    self._tell(asked, refused)
                    return
                self.card = card
                await self._all_say(b"S")
                for worker in self._ready():
                    worker.card = card
                log.info("model", extra={"event": "model-swapped"})
                self._tell(asked, "")  # still inside the lock: the next swap must not be taken for this one
                return

    def _tell(self, asked: tuple[_Worker, str] | None, refused: str) -> None:
        if asked is not None:
            worker, number = asked
            self._send(worker, f"O{number} {refused[:900]}".encode())

    def _ready(self) -> list[_Worker]:
        return [worker for worker in self.workers.values() if worker.ready]

    async def _all_say(self, message: bytes) -> list[str]:
        return await asyncio.gather(*(self._say(worker, message) for worker in self._ready()))

    async def _say(self, worker: _Worker, message: bytes) -> str:
        """What is wrong with it, or nothing; also where the worker dies or does not answer."""
        answer = asyncio.get_running_loop().create_future()
        worker.answers.append(answer)
        if not self._send(worker, message):
            return "a worker died"
        try:
            return await asyncio.wait_for(answer, 60)
        except TimeoutError:
            return "a worker died"

    # --- the end ---

    async def _stop(self) -> None:
        if self.stopping:
            return
        self.stopping = True
        log.info("draining", extra={"event": "draining"})
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()  # workers that load their model still end by themselves, without complaint
        else:
            for worker in self.workers.values():
                self._send(worker, b"N")
            await asyncio.sleep(self.settings.drain_delay)  # load balancers see /readyz fail and send nothing more
            with contextlib.suppress(ValueError, OSError):
                asyncio.get_running_loop().remove_reader(self.socket.fileno())
                while self._accept():  # what is in the queue already was promised an answer
                    pass
        self.socket.close()
        until = time.monotonic() + self.settings.drain_seconds
        while self._held and self._ready() and time.monotonic() < until:
            await asyncio.sleep(0.02)
        while self._held:
            self._held.popleft().close()
        for worker in list(self.workers.values()):
            self._send(worker, b"D")
        if not self.workers:
            self._done.set()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._done.wait(), self.settings.drain_seconds + 5)
        self._done.set()


def _gone(connection: socket.socket) -> bool:
    """Its caller has left without a word."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
