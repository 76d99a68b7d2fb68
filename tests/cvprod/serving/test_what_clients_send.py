"""Clients as they are: HEAD, slashes, compressed bodies, scaled tensors, pages of other origins, health over gRPC."""

import asyncio
import contextlib
import gzip
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.http as triton
import websockets.sync.client as websockets
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from cvprod.serving.errors import KINDS, Overloaded
from cvprod.serving.process.worker import across_origins
from cvprod.traffic import hostile

JPEG = hostile.encode(hostile.GREY, "JPEG")
IMAGE = {"content-type": "image/jpeg"}


def ask(app, method, path, **options):
    async def work():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **options)

    return asyncio.run(work())


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v2/health/ready", "/docs", "/openapi.json"])
def test_head_is_get_without_a_body(service, path):
    request = urllib.request.Request(service.address + path, method="HEAD")
    with urllib.request.urlopen(request, timeout=20) as answer, urllib.request.urlopen(service.address + path) as whole:
        assert (answer.status, answer.read()) == (200, b"")
        assert answer.headers["content-type"] == whole.headers["content-type"]


@pytest.mark.parametrize("path", ["/v1/inspect/", "/v1/jobs/", "/healthz/", "/v2/"])
def test_nobody_is_sent_elsewhere(make_app, path):
    """A redirect behind a proxy that ends TLS leads to http://, and takes the picture there in the clear."""
    for method in ("GET", "POST"):
        answer = ask(make_app(), method, path, content=JPEG, headers=IMAGE)
        assert answer.status_code in (404, 405) and "location" not in answer.headers


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "video/mp4; codecs=x", "\x7f<b>"])
def test_a_wrong_content_type_is_named(make_app, kind):
    answer = ask(make_app(), "POST", "/v1/inspect", content=JPEG, headers={"content-type": kind})
    assert answer.status_code == 415 and answer.json()["detail"].startswith(kind.strip("\x7f"))
    assert "image/*" in answer.json()["detail"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity", "GZIP"])
@pytest.mark.parametrize("path", ["/v1/inspect", "/v2/models/steel/infer", "/v1/jobs"])
def test_a_compressed_body_is_refused_as_that(make_app, coding, path):
    kind = {"/v1/jobs": "multipart/form-data; boundary=x"}.get(path, "application/octet-stream")
    headers = {"content-encoding": coding, "content-type": kind}
    answer = ask(make_app(), "POST", path, content=gzip.compress(JPEG), headers=headers)
    assert answer.status_code == 415 and answer.headers["accept-encoding"] == "identity"
    assert answer.json()["type"] == "/problems#encoding-unsupported"
    fine = ask(make_app(), "POST", "/v1/inspect", content=JPEG, headers={**IMAGE, "content-encoding": "identity"})
    assert fine.status_code == 200


@pytest.mark.parametrize("path", ["/v1/inspect", "/v2/models/steel/infer"])
def test_a_body_in_chunks_has_no_more_bytes_than_one_of_known_length(make_app, path):
    """Also where all of it has come by the time it is read."""
    app, said = make_app(max_body_bytes=2000), []

    async def receive():
        return {"type": "http.request", "body": b"x" * 5000, "more_body": False}

    async def send(message):
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "http_version": "1.1",
             "headers": [(b"content-type", b"application/octet-stream")]}  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert said[0]["status"] == 413 and (b"connection", b"close") in said[0]["headers"]


# --- Open Inference Protocol ---


def tensor(values, datatype="FP32"):
    given = triton.InferInput("pixels", [1, 1, 96, 96], datatype)
    given.set_data_from_numpy(np.full((1, 1, 96, 96), values, {"FP32": "f4", "UINT8": "u1"}[datatype]))
    return [given]


def test_tritonclient_can_read_every_error(service):
    client = triton.InferenceServerClient(service.address.removeprefix("http://"))
    for call, status, words in (
        (lambda: client.infer("steel", tensor(300)), "422", "0 to 255"),
        (lambda: client.infer("nosuch", tensor(3)), "404", "steel"),
        (lambda: client.get_model_metadata("nosuch"), "404", "steel"),
        (lambda: client.load_model("nosuch"), "404", "steel"),
        (lambda: client.infer("steel", tensor(3), headers={"X-Timeout-Ms": "soon"}), "400", "milliseconds"),
        (lambda: client.infer("steel", tensor(3), request_compression_algorithm="gzip"), "415", "compression"),
    ):
        with pytest.raises(triton.InferenceServerException) as caught:
            call()
        assert caught.value.status() == status and words in caught.value.message()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(service.address + "/v2/nothing", timeout=20)
    assert b'"error":"' in caught.value.read()
    with pytest.raises(urllib.error.HTTPError) as caught:  # elsewhere a problem is RFC 9457 alone
        urllib.request.urlopen(service.address + "/v1/nothing", timeout=20)
    assert b'"error"' not in caught.value.read()


@pytest.mark.parametrize("value", [0.5, 1 / 255, 0.999])
def test_a_tensor_scaled_to_one_is_refused(service, value):
    client = triton.InferenceServerClient(service.address.removeprefix("http://"))
    with pytest.raises(triton.InferenceServerException, match="scaled"):
        client.infer("steel", tensor(value))
    for fine in (0.0, 1.0, 1.5, 200.25):  # black, nearly black, and grey levels with a fraction
        assert client.infer("steel", tensor(fine)).as_numpy("logits").shape == (1, 7)


# --- pages of other origins ---


def test_no_page_of_another_origin_may_ask_unless_it_is_named(make_app):
    origin = {"origin": "https://plant.example"}
    plain = ask(make_app(), "POST", "/v1/inspect", content=JPEG, headers={**IMAGE, **origin})
    assert plain.status_code == 200 and "access-control-allow-origin" not in plain.headers
    options = {"cors_origins": "https://other.example, https://plant.example"}
    app = across_origins(make_app(**options), options["cors_origins"])
    answer = ask(app, "POST", "/v1/inspect", content=JPEG, headers={**IMAGE, **origin})
    assert answer.headers["access-control-allow-origin"] == origin["origin"]
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    assert ask(app, "OPTIONS", "/v1/inspect", headers={**origin, **asked}).status_code == 200
    assert ask(app, "OPTIONS", "/v1/inspect", headers={"origin": "https://evil.example", **asked}).status_code == 400


@pytest.mark.parametrize(
    ("origin", "allowed", "fine"),
    [
        (None, "", True),
        ("http://testserver", "", True),
        ("https://testserver", "", True),
        ("http://evil.example", "", False),
        ("http://testserver.evil.example", "", False),
        ("null", "", False),
        ("https://plant.example", "https://a.example,https://plant.example", True),
        ("https://plant.example", "*", True),
        ("https://plant.example:8443", "https://plant.example", False),
    ],
)
def test_a_stream_is_for_programs_and_for_pages_of_the_service(make_app, origin, allowed, fine):
    with TestClient(make_app(cors_origins=allowed)) as client:
        headers = {"origin": origin} if origin else {}
        if fine:
            with client.websocket_connect("/v1/stream", headers=headers) as stream:
                stream.send_bytes(JPEG)
                assert stream.receive_json()["label"] == "scratches"
        else:
            with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/v1/stream", headers=headers):
                pass
            assert caught.value.code == 1008


# --- gRPC ---


def test_health_over_grpc(service):
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="health.proto", package="grpc.health.v1", syntax="proto3")
    text, number = descriptor_pb2.FieldDescriptorProto.TYPE_STRING, descriptor_pb2.FieldDescriptorProto.TYPE_INT32
    for name, field, kind in (("HealthCheckRequest", "service", text), ("HealthCheckResponse", "status", number)):
        file.message_type.add(name=name).field.add(name=field, number=1, type=kind, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    asked, answered = (
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"grpc.health.v1.{name}"))
        for name in ("HealthCheckRequest", "HealthCheckResponse")
    )
    with grpc.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel:
        kinds = {"request_serializer": asked.SerializeToString, "response_deserializer": answered.FromString}
        check = channel.unary_unary("/grpc.health.v1.Health/Check", **kinds)
        for name in ("", "inference.GRPCInferenceService", "steel"):
            assert check(asked(service=name), timeout=20).status == 1
        with pytest.raises(grpc.RpcError) as caught:
            check(asked(service="x" * 200), timeout=20)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", **kinds)(asked(), timeout=20)
        assert next(iter(watch)).status == 1
        watch.cancel()


@pytest.mark.parametrize(
    ("call", "data", "code"),
    [
        ("inference.GRPCInferenceService/ModelInfer", b"\xff\xff", "INVALID_ARGUMENT"),
        ("inference.GRPCInferenceService/ServerLive", b"\x0a\x7f", "INVALID_ARGUMENT"),
        ("inference.GRPCInferenceService/ModelMetadata", b"\x0a\x02\xff\xfe", "INVALID_ARGUMENT"),  # no UTF-8
        ("grpc.health.v1.Health/Check", b"\x0a\x02\xff\xfe", "NOT_FOUND"),
        ("grpc.health.v1.Health/Check", b"\x0a\x80\x80\x02" + b"x" * 32768, "NOT_FOUND"),
    ],
)
def test_a_message_that_cannot_be_read_is_the_callers_fault(service, call, data, code):
    with grpc.insecure_channel(f"127.0.0.1:{service.grpc_port}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{call}")(data, timeout=20)
    assert caught.value.code().name == code and "Error" not in caught.value.details()


def launch(tmp_path, *options):
    return subprocess.run(
        [sys.executable, "-m", "cvprod.serving", "--workers", "1", *map(str, options)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_port_that_is_taken_is_said_in_a_sentence(service, tmp_path):
    """Also gRPC's, which the kernel would let two services share, so that callers get either's model."""
    for options, port in (
        (("--port", 0, "--grpc-port", service.grpc_port), service.grpc_port),
        (("--port", service.port), service.port),
    ):
        done = launch(tmp_path, *options)
        assert done.returncode == 2 and done.stderr.strip().endswith(
            f"cannot listen on 127.0.0.1:{port}: Address already in use"
        )


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_ipv6_with_grpc(tmp_path):
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cvprod.serving", "--host", "::", "--port", "0", "--workers", "1"]
    with subprocess.Popen([*command, "--grpc-port", str(port)], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        try:
            line = run.stdout.readline()
            assert line.startswith("Listening on http://[::]:")
            with grpc.insecure_channel(f"[::1]:{port}") as channel:
                grpc.channel_ready_future(channel).result(20)
        finally:
            run.terminate()


# --- when to come back, and answers that come early ---


def test_retry_after_is_spread_so_that_callers_do_not_come_back_together():
    found = [int(Overloaded(0.01).headers["Retry-After"]) for _ in range(300)]
    assert set(found) == {1, 2, 3} and min(map(found.count, (1, 2, 3))) > 50
    assert min(int(Overloaded(5.2).headers["Retry-After"]) for _ in range(100)) == 6


def test_too_late_is_not_too_many():
    assert KINDS["overloaded"].status == 429 and KINDS["deadline-exceeded"].status == 504


@pytest.mark.parametrize("turn", range(5))
@pytest.mark.parametrize("megabytes", [9, 20])
def test_an_early_refusal_is_read_by_a_client_that_still_sends(service, turn, megabytes):
    """A client that sends all before it reads, as urllib does: a reset would overtake the answer."""
    body = bytes(megabytes * 2**20)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        head = b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
        client.sendall(head % len(body))
        for i in range(0, len(body), 2**20):
            client.sendall(body[i : i + 2**20])
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert (
        answer.startswith(b"HTTP/1.1 413 ") and b"body-too-large" in answer and b"connection: close" in answer.lower()
    )


def test_who_sends_without_end_is_cut_off(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(b"POST /v1/inspect HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        until, sent = time.monotonic() + 60, 0
        with pytest.raises(OSError):
            while time.monotonic() < until:
                sent += client.send(bytes(2**20))
        assert sent < 256 * 2**20


def test_a_stream_that_is_no_websocket_handshake_is_an_ordinary_request(service):
    assert urllib.request.urlopen(service.address + "/healthz", timeout=20).status == 200
    with websockets.connect(service.address.replace("http", "ws") + "/v1/stream?policy=all") as stream:
        stream.send(JPEG)
        assert b"scratches" in stream.recv(timeout=20).encode()
