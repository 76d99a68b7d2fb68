"""The load client: counts what a scripted server really did, keeps its times, survives cut connections."""

import asyncio
import threading
import time

import numpy as np
import pytest

from cvprod.traffic import http_load


class Scripted:
    """A server in a thread that gives the answers of `play(number)`: bytes, or None to cut the connection."""

    def __init__(self, play):
        self.play, self.seen, ready = play, [], threading.Event()

        async def serve(reader, writer):
            try:
                while head := await reader.readuntil(b"\r\n\r\n"):
                    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                    self.seen.append((head, await reader.readexactly(size)))
                    answer = self.play(len(self.seen))
                    if answer is None:
                        break
                    writer.write(answer[:20])
                    await writer.drain()
                    await asyncio.sleep(0.001)  # in two pieces
                    writer.write(answer[20:])
            except (asyncio.IncompleteReadError, ConnectionError):
                pass
            writer.close()

        async def run():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            self.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
            self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            await self.stop.wait()

        self.thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        self.thread.start()
        ready.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(10)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
BUSY = b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n"


def test_closed_loop_counts_every_kind_of_answer():
    with Scripted(lambda n: (OK, CHUNKED, BUSY)[n % 3]) as server:
        seen = http_load.measure(server.address, [b"a", b"bb"], connections=3, seconds=0.5, headers={"X-Y": "z"})
    assert len(seen.status) == len(server.seen) > 30
    assert (seen.status == 429).sum() == pytest.approx(len(seen.status) / 3, abs=1)
    assert {body for _, body in server.seen} == {b"a", b"bb"} and b"X-Y: z" in server.seen[0][0]
    assert (seen.load.done > seen.load.started).all() and seen.accepted.rate > 20


def test_open_loop_keeps_its_times_whatever_the_server_does():
    due = np.arange(100) * 0.005
    with Scripted(lambda n: OK) as server:
        seen = http_load.measure(server.address, [b"a"], connections=8, due=due)
    assert np.array_equal(seen.load.due, due) and (seen.status == 200).all()
    assert np.median(seen.load.started - due) < 0.004

    def slow(n):
        time.sleep(0.02)
        return OK

    with Scripted(slow) as server:  # 50 a second against 200: lateness grows, and is counted
        seen = http_load.measure(server.address, [b"a"], connections=2, due=due)
    assert seen.load.latency.samples[-1] > 0.8 > seen.load.service.samples[-1]


def test_a_cut_connection_is_no_answer_and_the_rest_goes_on():
    with Scripted(lambda n: None if n % 10 == 0 else OK) as server:
        seen = http_load.measure(server.address, [b"a"], connections=3, due=np.arange(200) * 0.002)
    assert (seen.status == 0).sum() == 20 and (seen.status == 200).sum() == 180


def test_wrong_arguments_are_refused():
    for bad in (
        dict(connections=0, seconds=1), dict(connections=1), dict(connections=1, due=np.array([])),
        dict(connections=1, due=np.array([1.0, 0.0])), dict(connections=1, due=np.array([0.0]), seconds=1),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r".+"):
            http_load.measure("http://127.0.0.1:1/", [b"a"], **bad)


def test_nobody_there_is_said():
    with pytest.raises(RuntimeError, match="is the server there"):
        http_load.measure("http://127.0.0.1:9/", [b"a"], connections=1, seconds=0.1)
