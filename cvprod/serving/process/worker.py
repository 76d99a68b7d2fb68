"""One process that computes. It gets its connections, already accepted, from the supervisor, over a socket of its own.

supervisor to worker    C with a file descriptor: a connection       P card: prepare this model    S: swap to it
                        U: no longer a spare, work
                        A: forget it                                 D: drain, then exit
                        O number reason: what became of the swap that was asked for; without a reason it was made
worker to supervisor    R: ready    -: a connection was closed       p, e text: prepared, refused
                        L number card: somebody asks for a swap      s: swapped
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httptools
from uvicorn import Config, Server
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cvprod.serving import logs, metrics
from cvprod.serving.api.app import App
from cvprod.serving.api.exchange import Exchange
from cvprod.serving.engine import Engine
from cvprod.serving.errors import ServiceError
from cvprod.serving.jobs import Runner
from cvprod.serving.model import Model, ModelError
from cvprod.serving.settings import Settings, SettingsError, usable_cores

MESSAGE = 65536
MESSAGES = 64  # that are heard in one turn of the event loop
HEAD_BYTES = 65536  # of a request's first line and headers together
LINGER_SECONDS = 5.0  # that a caller who was answered before the end of its request may go on sending
LINGER_BYTES = 64 * 2**20  # the same in bytes; what comes is dropped
LINGER_NONSENSE = 2**20  # where it was no request
STREAM = b"/v1/stream"  # the one route where an offer to upgrade to WebSocket is taken
UNREAD_SECONDS = 0.1  # in which a new connection's request is read, if it has come...
UNREAD_TURNS = 5  # ...and turns of the event loop: it is accepted in one, and read in the next or the one after


class OneWrite:
    """A transport that keeps an answer's head until its body is there, so that both leave in one piece.

    uvicorn writes them one after the other. That is a system call and a packet too many, and a worker that is killed
    between the two leaves half an answer, which a load balancer cannot ask for again.

    And a transport that closes gently: to close a socket in which something is unread sends a reset, which overtakes
    the answer. `unread` says how much the caller may still send; if that is not 0, the connection is half-closed, and
    what comes is read and dropped (`drop`).
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, unread: Callable[[], int]
    ) -> None:
        self._transport, self._loop, self._head, self._unread = transport, loop, b"", unread
        self._lingering: asyncio.TimerHandle | None = None
        self._left = 0

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data[:5] == b"HTTP/" and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)  # an answer without a body
            return
        self._transport.write(data)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self._flush()
        if self._lingering is None and not self._transport.is_closing() and (left := self._unread()):
            self._left = left
            self._lingering = self._loop.call_later(LINGER_SECONDS, self._transport.close)
            self._transport.resume_reading()
            self._transport.write_eof()
        else:
            self.end()

    def end(self) -> None:
        """Close at once."""
        self._flush()
        self.gone()
        self._transport.close()

    def drop(self, data: bytes) -> bool:
        """Whether the connection is over but for what the caller still sends."""
        if self._lingering is not None:
            self._left -= len(data)
            if self._left < 0:
                self.end()
        return self._lingering is not None

    def gone(self) -> None:
        """The connection has ended: nothing to wait for."""
        if self._lingering is not None:
            self._lingering.cancel()

    def is_closing(self) -> bool:
        return self._lingering is not None or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Flow(FlowControl):
    """Reads on only when no request that was read before waits for its turn.

    uvicorn reads on with every request that it begins to answer, and a caller who sends faster than it takes answers
    fills the memory.
    """

    def __init__(self, transport: Any, waiting: deque) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Worker:
    """Serves the connections that come over `channel`."""

    def __init__(
        self,
        settings: Settings,
        channel: socket.socket,
        index: int,
        card: Path,
        *,
        spare: bool = False,
        cores: frozenset[int] = frozenset(),
    ) -> None:
        self.settings, self.channel, self.index, self.spare = settings, channel, index, spare
        self.model = Model.load(card, settings.device)
        self.engine = Engine(
            self.model,
            budget=settings.latency_budget_ms / 1e3,
            max_batch=settings.max_batch,
            max_queue=settings.max_queue,
            max_pixels=settings.max_pixels,
            observe=metrics.batch,
            cores=cores,
        )
        self.app = App(self.engine, settings, swap=self._ask_for_swap)
        self.prepared: Model | None = None
        self.asked: dict[str, asyncio.Future] = {}  # by the number of the swap
        self._numbers = itertools.count()
        self.finished = asyncio.Event()
        self.arriving = 0  # connections taken over, and not yet among those of the server
        self._tasks: set[asyncio.Task] = set()
        self._named: Any = None
        self.runner: asyncio.Task | None = None
        self.grpc: Any = None

    def _name_model(self) -> Any:
        card = self.engine.model.card
        gauge = metrics.MODEL.labels(card.name, card.version, card.sha256[:12])
        gauge.set(1)
        return gauge

    def _spawn(self, work: Coroutine) -> None:
        """A task that is held until it is done: the loop itself holds only weak references."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def say(self, message: bytes) -> None:
        """To the supervisor; if it is gone, so are we soon."""
        with contextlib.suppress(OSError):
            self.channel.send(message)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        config = Config(
            across_origins(self.app, self.settings.cors_origins),
            http="httptools",
            ws="websockets-sansio",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            timeout_keep_alive=int(self.settings.idle_seconds) or 1,
            ws_max_size=self.settings.max_body_bytes,
            proxy_headers=False,
        )
        config.load()
        self.server = Server(config)
        self.state = self.server.server_state
        worker = self

        class Connection(HttpToolsProtocol):
            """uvicorn's protocol, which also tells the supervisor when it is over and does not wait for ever."""

            def connection_made(self, transport: Any) -> None:
                worker.arriving -= 1
                super().connection_made(OneWrite(transport, loop, self.unread))
                self.flow = Flow(self.transport, self.pipeline)
                metrics.CONNECTIONS.inc()
                self.began: float | None = loop.time()  # of the request that is arriving; None between two
                self.silent = True  # nothing has come yet
                self.broken = False  # what came is no HTTP
                self.replayed = False  # the head is fed to the parser once more
                self.heading = self.fresh = False  # within a request's head; which began in what was read last
                self.head = self.fed = 0  # bytes of the head: as it was understood, and as it came
                self.part = bytearray()  # of a plain picture that has not come wholly yet...
                self.missing = 0  # ...and how many bytes are still to come
                self.patience = loop.call_later(worker.settings.read_seconds, self.too_slow)

            def data_received(self, data: bytes) -> None:
                if self.transport.drop(data):
                    return
                worker.engine.touch()
                if self.part:
                    self.part += data
                    self.missing -= len(data)
                    if self.missing > 0:
                        return
                    data, self.part = bytes(self.part), bytearray()
                    if self.missing == 0 and self.take(data):
                        return
                else:
                    self.arrived = time.perf_counter()
                    if self.began is None or self.silent:
                        self.silent = False
                        self.began = loop.time()
                        if self.idle() and (head := worker.app.plain_head(data)):
                            self.plain, self.missing = head, head.size + head.length - len(data)
                            if self.missing > 0:
                                self._unset_keepalive_if_required()
                                self.part += data
                                return
                            if self.missing == 0 and self.take(data):
                                return
                self.read(data)

            def take(self, data: bytes) -> bool:
                """Answer a plain picture, which is all that has come; False if it needs the normal way."""
                picture = data[self.plain.size :]
                self._unset_keepalive_if_required()
                if answer := worker.app.refuse(self.plain, worker.state.default_headers):
                    self.began = None
                    self.transport.write(answer)
                    self.on_response_complete()
                    return True
                if worker.app.is_large(picture):
                    return False
                self.began = None
                self.cycle = Exchange(worker.app, self, self.plain, self.arrived)
                self.cycle.begin(picture)
                return True

            def read(self, data: bytes) -> None:
                """What the parser is to understand."""
                self.fresh = False
                self.feed(data)
                # A header without an end is understood only once it has one.
                if self.heading and not self.fresh and not self.transport.is_closing():
                    self.fed += len(data)
                    if self.fed > HEAD_BYTES:
                        self.send_400_response("")

            def feed(self, data: bytes) -> None:
                """To the parser. It stops behind a head that offers an upgrade, and takes what follows for another
                protocol. An offer may be ignored (RFC 9110, 7.8), a body may not: what is left of it would be read as
                the next request, past every rule of a proxy that knows better."""
                self._unset_keepalive_if_required()
                while data is not None:
                    try:
                        self.parser.feed_data(data)
                        return
                    except httptools.HttpParserError:
                        self.began, self.broken = self.began or loop.time(), True  # there may be more to come
                        self.send_400_response("Invalid HTTP request received.")
                        return
                    except httptools.HttpParserUpgrade as offer:
                        if self._should_upgrade():
                            self.handle_websocket_upgrade()
                            return
                        data = data[offer.args[0] :]
                        self.read_on()

            def read_on(self) -> None:
                """Behind a head whose offer is ignored: a new parser, which is told how the body is framed."""
                lines = [b"POST / HTTP/%b" % self.scope["http_version"].encode()]
                framing = (b"content-length", b"transfer-encoding")
                lines += [b"%b: %b" % header for header in self.headers if header[0] in framing]
                if not self.cycle.keep_alive:
                    lines.append(b"connection: close")
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.replayed = True
                self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

            def _should_upgrade(self) -> bool:
                if self.url.partition(b"?")[0] != STREAM or self.scope.get("method") != "GET":
                    return False
                names = {name for name, _ in self.headers}
                framed = names & {b"content-length", b"transfer-encoding"}
                return not framed and super()._should_upgrade()

            def send_400_response(self, msg: str) -> None:
                # uvicorn's answer to what is no request. It knows no limit: one caller's headers could fill the memory.
                if max(self.head, self.fed) <= HEAD_BYTES:
                    super().send_400_response(msg)
                    return
                lines = [b"HTTP/1.1 431 Request Header Fields Too Large"]
                lines += [b"%b: %b" % header for header in worker.state.default_headers]
                text = b"A request's first line and headers may have %d bytes." % HEAD_BYTES
                lines += [b"content-type: text/plain; charset=utf-8", b"content-length: %d" % len(text)]
                self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", text]))
                self.transport.close()

            def count_head(self, size: int) -> None:
                self.head += size
                if self.head > HEAD_BYTES:
                    raise ValueError("the head is too large")  # the parser stops, and uvicorn calls send_400_response

            def on_url(self, url: bytes) -> None:
                if self.replayed:
                    return
                self.count_head(len(url))
                super().on_url(url)

            def on_header(self, name: bytes, value: bytes) -> None:
                if self.replayed:
                    return
                self.count_head(len(name) + len(value) + 4)
                if self.heading:  # what comes after the body must not pass for what was said before it
                    super().on_header(name, value)

            def on_headers_complete(self) -> None:
                if self.replayed:
                    self.replayed = False
                    return
                self.heading = False
                super().on_headers_complete()

            def unread(self) -> int:
                if self.began is None:
                    return 0
                return LINGER_NONSENSE if self.heading or self.broken else LINGER_BYTES

            def idle(self) -> bool:
                """Every answer has been sent, and the caller reads them."""
                return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

            def on_message_begin(self) -> None:
                if self.replayed:
                    return
                self.began = loop.time()  # also of a request whose first bytes came with the end of another
                self.heading = self.fresh = True
                self.head = self.fed = 0
                super().on_message_begin()
                self.scope["arrived"] = self.arrived  # the clock of a request: before the loop comes to answer it

            def on_message_complete(self) -> None:
                if self.parser.should_upgrade() and not self._should_upgrade():
                    return  # its body is still to come, see `read_on`
                self.began = None
                super().on_message_complete()

            def handle_websocket_upgrade(self) -> None:
                self.patience.cancel()  # a stream is as long as it likes
                super().handle_websocket_upgrade()
                # Another protocol from here on; the end of the connection is still our business.
                protocol = self.transport.get_protocol()
                end = protocol.connection_lost
                protocol.connection_lost = lambda exc: (self.over(), end(exc))

            def too_slow(self) -> None:
                # A request that has begun must arrive in time; a connection between requests is uvicorn's to close.
                left = worker.settings.read_seconds
                if self.began is not None:
                    left -= loop.time() - self.began
                if left > 0:
                    self.patience = loop.call_later(left, self.too_slow)
                elif self.transport is not None and not self.transport.is_closing():
                    self.transport.end()

            def shutdown(self) -> None:
                if self.part:
                    data, self.part = bytes(self.part), bytearray()
                    self.read(data)
                if self.cycle is None or self.cycle.response_complete:
                    self.transport.end()
                else:
                    super().shutdown()

            def connection_lost(self, exc: Exception | None) -> None:
                self.patience.cancel()
                self.transport.gone()
                self.over()
                super().connection_lost(exc)

            def over(self) -> None:
                metrics.CONNECTIONS.dec()
                worker.say(b"-")

        self.factory = lambda: Connection(config=config, server_state=self.state, app_state={})
        self.channel.setblocking(False)
        loop.add_reader(self.channel.fileno(), self._heard)
        if self.spare:
            name_process("spare")
        else:
            await self._open()
        self.say(b"R%d" % os.getpid())
        tick = asyncio.create_task(self._tick())
        await self.finished.wait()
        tick.cancel()
        self.app.count_refused()
        self.app.close()
        self.engine.close()

    async def _open(self) -> None:
        """Begin with what does not wait for connections of the supervisor's."""
        self._named = self._name_model()
        self.runner = asyncio.create_task(Runner(self.app, self.app.jobs).run())
        if self.settings.grpc_port:
            from cvprod.serving.api.grpc_server import serve

            self.grpc = await serve(self.app, self.settings.host, self.settings.grpc_port)

    async def _tick(self) -> None:
        while True:
            self.state.default_headers = config_headers()
            metrics.WAITING.set(self.engine.waiting)
            self.app.count_refused()
            await asyncio.sleep(1.0)

    def _heard(self) -> None:
        # All that waits: one message a turn, where a turn computes a batch, lets later requests on open connections
        # overtake those on new ones. Not without end, though: whoever is here must be read and answered in between.
        for _ in range(MESSAGES):
            try:
                data, descriptors, _, _ = socket.recv_fds(self.channel, MESSAGE, 4)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if not data:  # the supervisor is gone: finish what we have
                asyncio.get_running_loop().remove_reader(self.channel.fileno())
                self._spawn(self._drain())
                return
            self._obey(data, descriptors)

    def _obey(self, data: bytes, descriptors: list[int]) -> None:
        """One message of the supervisor."""
        if data[:1] == b"C":
            for descriptor in descriptors:
                self._spawn(self._serve(socket.socket(fileno=descriptor)))
        elif data[:1] == b"P":
            self._spawn(self._prepare(Path(data[1:].decode())))
        elif data[:1] == b"S" and self.prepared is not None:
            self.engine.swap(self.prepared)
            self.prepared = None
            if self._named is not None:
                self._named.set(0)
                self._named = self._name_model()
            self.say(b"s")
        elif data[:1] == b"U" and self.spare:
            self.spare = False
            name_process("worker")
            self._spawn(self._open())
        elif data[:1] == b"A":
            self.prepared = None
        elif data[:1] == b"O":
            number, _, reason = data[1:].decode().partition(" ")
            self._settle(number, ServiceError("model-refused", reason) if reason else self.engine.model.version)
        elif data[:1] == b"N":
            self.app.ready = False
        elif data[:1] == b"D":
            self._spawn(self._drain())

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        here = len(self.state.connections) + self.arriving
        if here >= self.settings.max_connections or self.finished.is_set():
            connection.close()
            self.say(b"-")
            return
        self.arriving += 1
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(self.factory, connection)
        except OSError:
            self.arriving -= 1
            connection.close()
            self.say(b"-")

    async def _prepare(self, card: Path) -> None:
        try:
            self.prepared = await asyncio.get_running_loop().run_in_executor(
                None, Model.load, card, self.settings.device
            )
        except ModelError as error:
            self.say(b"e" + str(error).encode()[:1000])
            return
        self.say(b"p")

    async def _ask_for_swap(self, card: Path | None) -> str:
        number = str(next(self._numbers))  # two may ask at once, and the file may change in between
        answer = self.asked[number] = asyncio.get_running_loop().create_future()
        self.say(f"L{number} {card or ''}".encode())
        try:
            return await asyncio.wait_for(answer, 60)
        finally:
            del self.asked[number]

    def _settle(self, number: str, outcome: str | ServiceError) -> None:
        future = self.asked.get(number)
        if future is not None and not future.done():
            future.set_exception(outcome) if isinstance(outcome, ServiceError) else future.set_result(outcome)

    async def _drain(self) -> None:
        """Take nothing new, answer what is here, close what is idle, leave."""
        if self.engine.draining:
            return
        self.app.ready = False
        if self.runner is not None:
            self.runner.cancel()
        until = time.monotonic() + self.settings.drain_seconds
        if self.grpc is not None:
            self._spawn(self.grpc.stop(self.settings.drain_seconds))
        told: set = set()
        seen: Counter = Counter()
        unread = time.monotonic() + UNREAD_SECONDS
        while (
            self.arriving or self.state.connections or self.state.tasks or not self.engine.idle
        ) and time.monotonic() < until:
            for connection in list(self.state.connections - told):
                # What a newcomer asked before we were told to stop may still wait to be read. On a busy machine a
                # turn of the event loop alone may take longer than the time for it, so turns are counted too.
                seen[connection] += 1
                waited = time.monotonic() > unread and seen[connection] > UNREAD_TURNS
                if getattr(connection, "cycle", True) is not None or waited:
                    told.add(connection)
                    connection.shutdown()  # keeps an answer that is under way, closes the rest, and tells keep-alive
            await asyncio.sleep(0.01)
        self.engine.draining = True
        if self.grpc is not None:
            await self.grpc.stop(0)
        self.finished.set()


def across_origins(app: Any, origins: str) -> Any:
    """The application, for pages of these origins too. The book's own page needs none."""
    if not origins:
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=[origin.strip() for origin in origins.split(",")],
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "X-Request-Id", "X-Timeout-Ms"],
        expose_headers=["Retry-After", "X-Request-Id"],
    )


def name_process(name: str) -> None:
    """As `ps` shows it."""
    with contextlib.suppress(OSError):  # no Linux
        Path("/proc/self/comm").write_text(name)


def config_headers() -> list[tuple[bytes, bytes]]:
    """Headers that every answer gets."""
    from email.utils import formatdate

    return [(b"date", formatdate(usegmt=True).encode()), (b"x-content-type-options", b"nosniff")]


def nursery(channel: socket.socket, *, grpc: bool = True) -> int:
    """Load every module once, then fork a worker for each request that comes over `channel`.

    A new interpreter takes seconds to import all this; a fork is there in milliseconds, and shares its memory. This
    process has one thread and no event loop, so that forking it is safe. grpc: whether the workers will speak it too.
    """
    import onnxruntime  # noqa: F401  (loaded here, used in the forks)

    from cvprod.serving.api import fastapi_app  # noqa: F401

    if grpc:
        from cvprod.serving.api import grpc_server  # noqa: F401

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the supervisor decides
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    gc.collect()
    gc.freeze()  # what is loaded stays: the collector need not look at it, and the forks go on sharing it
    channel.send(b"R")
    while True:
        data, descriptors, _, _ = socket.recv_fds(channel, MESSAGE, 1)
        if not data or not descriptors:
            return 0
        if os.fork() == 0:
            channel.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            index, spare, card = data.decode().split(" ", 2)
            os._exit(_worker(socket.socket(fileno=descriptors[0]), int(index), Path(card), spare == "1"))
        os.close(descriptors[0])


def _worker(channel: socket.socket, index: int, card: Path, spare: bool) -> int:
    """A fork's life; its exit status."""
    name_process("spare, starting" if spare else "worker")
    settings = Settings.model_validate_json(os.environ["CVPROD_SETTINGS"])
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    # For the threads of a large request: they are not bound to the worker's own core.
    shared = frozenset(cores) if usable_cores() > 1 and settings.device == "cpu" else frozenset()
    if settings.pin and len(cores) == settings.workers > 1:
        os.sched_setaffinity(0, {cores[index % len(cores)]})
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    try:
        with runner:
            runner.run(_serve(lambda: Worker(settings, channel, index, card, spare=spare, cores=shared)))
    except Exception as error:
        logs.log.exception("worker", extra={"event": "worker-failed"})
        said = str(error) if isinstance(error, (ModelError, SettingsError)) else type(error).__name__
        channel.send(b"e" + said.encode()[:1000])
        return 3
    return 0


async def _serve(make: Callable[[], Worker]) -> None:
    await make().run()


def main() -> int:
    """Started by the supervisor, with the descriptor of the nursery's channel."""
    settings = Settings.model_validate_json(os.environ["CVPROD_SETTINGS"])
    logs.configure(settings.log_format, settings.log_level)
    return nursery(socket.socket(fileno=int(sys.argv[1])), grpc=settings.grpc_port > 0)


if __name__ == "__main__":
    sys.exit(main())
