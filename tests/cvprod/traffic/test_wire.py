"""The relay counts what a client and a server that know their own bytes have sent, and passes all of it on."""

import contextlib
import socket
import socketserver
import threading

import pytest

from cvprod.traffic.wire import Meter, per_call


class Twice(socketserver.BaseRequestHandler):
    """Answers ten bytes by the same twice."""

    def handle(self):
        while len(data := self.request.recv(10, socket.MSG_WAITALL)) == 10:
            self.request.sendall(data * 2)


def exactly(client, n):
    found = b""
    while len(found) < n and (data := client.recv(n - len(found))):
        found += data
    return found


@pytest.fixture
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Twice) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


def test_every_byte_is_counted_and_passed_on(server):
    with Meter(server) as meter, socket.create_connection(("127.0.0.1", meter.port), 10) as client:

        def call():
            client.sendall(b"0123456789")
            assert exactly(client, 20) == b"0123456789" * 2

        assert per_call(call, [meter], calls=7) == (10, 20)
        assert (meter.sent, meter.received) == (100, 200)  # with those that warm up


def test_two_meters_are_added_and_two_clients_told_apart_from_none(server):
    with Meter(server) as one, Meter(server) as other, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", m.port), 10)) for m in (one, other)]

        def call():
            for client in clients:
                client.sendall(b"0123456789")
                exactly(client, 20)

        assert per_call(call, [one, other]) == (20, 40)
        assert per_call(lambda: None, [one, other]) == (0, 0)


def test_a_large_answer_is_whole(server):
    text = bytes(range(250)) * 4000
    with Meter(server) as meter, socket.create_connection(("127.0.0.1", meter.port), 10) as client:
        threading.Thread(target=client.sendall, args=(text,), daemon=True).start()
        answer = exactly(client, 2 * len(text))
    assert answer == b"".join(text[i : i + 10] * 2 for i in range(0, len(text), 10))
    assert (meter.sent, meter.received) == (len(text), 2 * len(text))


def test_the_end_of_either_side_reaches_the_other(server):
    with Meter(server) as meter:
        client = socket.create_connection(("127.0.0.1", meter.port), 10)
        client.sendall(b"0123456789")
        client.shutdown(socket.SHUT_WR)
        assert client.makefile("rb").read() == b"0123456789" * 2  # to the end, which comes
        left = socket.create_connection(("127.0.0.1", meter.port), 10)
        left.sendall(b"0123456789")
        assert exactly(left, 20)
    assert left.recv(1) == b""  # cut at the end of the meter
    for each in (client, left):
        each.close()


def test_nobody_behind_it_is_an_end_not_a_hang():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        with (
            Meter(taken.getsockname()[1]) as meter,
            socket.create_connection(("127.0.0.1", meter.port), 10) as client,
            contextlib.suppress(ConnectionError),
        ):
            assert client.recv(1) == b""


@pytest.mark.parametrize(("meters", "calls"), [([], 5), ([None], 0)])
def test_wrong_arguments(meters, calls):
    with pytest.raises(ValueError, match="at least one call"):
        per_call(lambda: None, meters, calls=calls)
