"""Open Inference Protocol v2 over gRPC, in every worker on one port (the kernel shares it out, SO_REUSEPORT).

Beside the model of tiles there is one more, NAME_frames: an encoded frame of a line camera in, boxes out.

The messages come from a compiled descriptor (oip.binpb, made of oip.proto) in a pool of their own: no generated code
that a protobuf release could refuse, and no clash with a client library that brings the same names.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import grpc
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from cvprod.serving import frames, metrics
from cvprod.serving.api import oip, plain
from cvprod.serving.context import Context
from cvprod.serving.errors import ServiceError
from cvprod.serving.logs import log
from cvprod.serving.settings import SettingsError, authority

SERVICE = "inference.GRPCInferenceService"
_DESCRIPTOR = Path(__file__).parents[1] / "oip.binpb"
_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 401: grpc.StatusCode.UNAUTHENTICATED, 403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND, 413: grpc.StatusCode.INVALID_ARGUMENT, 415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT, 429: grpc.StatusCode.RESOURCE_EXHAUSTED, 503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}  # fmt: skip


def messages() -> dict[str, Any]:
    """Message classes by name, without the package."""
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTOR.read_bytes())
    for file in files.file:
        pool.Add(file)
    return {
        message.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{message.name}"))
        for file in files.file for message in file.message_type
    }  # fmt: skip


def address(peer: str) -> str:
    """Who calls, of gRPC's ipv4:HOST:PORT, ipv6:%5BHOST%5D:PORT or unix:PATH; a port is another for each connection."""
    kind, _, place = unquote(peer).partition(":")
    return place.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else peer


def request_id(headers: dict[bytes, bytes]) -> str:
    """What the caller calls this request, or nothing; as X-Request-Id over HTTP."""
    given = headers.get(b"x-request-id", b"")
    return given.decode() if re.fullmatch(plain.NAME, given) else ""


class Service:
    """The six calls of the protocol."""

    def __init__(self, app: Context) -> None:
        self.app = app
        self.types = messages()
        self._routes = {name: metrics.Route(f"grpc/{name}") for name in self.calls()}

    @staticmethod
    def calls() -> tuple[str, ...]:
        return ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")

    def handler(self) -> grpc.GenericRpcHandler:
        """What a grpc.aio server takes."""

        def method(name: str) -> Any:
            async def call(data: bytes, context: Any) -> Any:
                return await self._guard(name, data, context)

            # What cannot be read is the caller's fault. gRPC itself would say UNKNOWN, with our exception.
            return grpc.unary_unary_rpc_method_handler(
                call, response_serializer=self.types[f"{name}Response"].SerializeToString
            )

        return grpc.method_handlers_generic_handler(SERVICE, {name: method(name) for name in self.calls()})

    def health(self) -> grpc.GenericRpcHandler:
        """grpc.health.v1, which load balancers and Kubernetes' gRPC probes ask. Its two messages hold one field each,
        and are read and written here by hand."""

        def asked(data: bytes) -> str:  # field 1, a text
            return data[2:].decode(errors="replace") if data[:1] == b"\x0a" else ""

        def status(name: str) -> bytes:  # field 1: 1 serving, 2 not serving, 3 unknown service
            known = name in ("", SERVICE, self.app.engine.model.name)
            return b"\x08\x01" if known and self._fine else b"\x08\x02" if known else b"\x08\x03"

        async def check(name: str, context: Any) -> bytes:
            if (found := status(name)) == b"\x08\x03":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
            return found

        async def watch(name: str, context: Any) -> AsyncGenerator[bytes, None]:
            said = b""
            while True:
                if (found := status(name)) != said:
                    yield (said := found)
                await asyncio.sleep(0.2)

        return grpc.method_handlers_generic_handler(
            "grpc.health.v1.Health",
            {
                "Check": grpc.unary_unary_rpc_method_handler(check, request_deserializer=asked),
                "Watch": grpc.unary_stream_rpc_method_handler(watch, request_deserializer=asked),
            },
        )

    async def _guard(self, name: str, data: bytes, context: Any) -> Any:
        start, code = time.perf_counter(), 200
        asked: dict[str, Any] = {"received": start}  # of Context.judged
        try:
            if name.startswith("Model") and (self.app.guarded or self.app.watchers):
                headers = {
                    k.encode(): v if isinstance(v, bytes) else v.encode() for k, v in context.invocation_metadata()
                }
                asked |= {"traceparent": headers.get(b"traceparent", b""), "request_id": request_id(headers)}
                if self.app.guarded and (key := self.app.identify(headers, {"client": (address(context.peer()), 0)})):
                    asked["caller"] = key.name
            try:
                request = self.types[f"{name}Request"].FromString(data)
            except DecodeError:
                raise ServiceError("malformed-request", "The message cannot be read.") from None
            return await getattr(self, f"_{name}")(request, context, asked)
        except ServiceError as problem:
            code = problem.status
            metrics.REJECTED.labels(problem.slug).inc()
            await context.abort(_STATUS.get(code, grpc.StatusCode.INTERNAL), f"{problem.slug}: {problem.detail}")
        except grpc.aio.AbortError:
            raise
        except Exception:
            code = 500
            log.exception("fault", extra={"event": "fault", "route": f"grpc/{name}"})
            await context.abort(grpc.StatusCode.INTERNAL, "internal")
        finally:
            self._routes[name].done(code, time.perf_counter() - start)

    @property
    def _fine(self) -> bool:
        return self.app.ready and not self.app.engine.draining

    async def _ServerLive(self, request: Any, context: Any, asked: dict[str, Any]) -> Any:
        return self.types["ServerLiveResponse"](live=True)

    async def _ServerReady(self, request: Any, context: Any, asked: dict[str, Any]) -> Any:
        return self.types["ServerReadyResponse"](ready=self._fine)

    async def _ModelReady(self, request: Any, context: Any, asked: dict[str, Any]) -> Any:
        model = self.app.engine.model
        known = request.name in (model.name, self._frames) and request.version in ("", model.version)
        return self.types["ModelReadyResponse"](ready=known and self._fine)

    async def _ServerMetadata(self, request: Any, context: Any, asked: dict[str, Any]) -> Any:
        return self.types["ServerMetadataResponse"](name="cvprod", version="2", extensions=[])

    async def _ModelMetadata(self, request: Any, context: Any, asked: dict[str, Any]) -> Any:
        if request.name == self._frames:
            oip.check_model(self.app, self.app.engine.model.name, request.version)
            return self.types["ModelMetadataResponse"](**frames_metadata(self.app))
        oip.check_model(self.app, request.name, request.version)
        return self.types["ModelMetadataResponse"](**oip.model_metadata(self.app))

    async def _ModelInfer(self, request: Any, context: Any, asked: dict[str, Any]) -> Any:
        if request.model_name == self._frames:
            return await self._infer_frame(request, context, asked)
        oip.check_model(self.app, request.model_name, request.model_version)
        if len(request.inputs) != 1:
            raise ServiceError("invalid-request", "There is one input.")
        if any(output.name != oip.OUTPUT for output in request.outputs):
            raise ServiceError("invalid-request", f"The output is called {oip.OUTPUT}.")
        given = request.inputs[0]
        shape = list(given.shape)
        dtype = oip.check_tensor(self.app, given.name, given.datatype, shape)
        count = int(np.prod(shape))
        raw = bool(request.raw_input_contents)
        if raw:
            if len(request.raw_input_contents) != 1 or len(request.raw_input_contents[0]) != count * dtype.itemsize:
                raise ServiceError("invalid-request", f"The shape needs {count * dtype.itemsize} bytes.")
            tiles = np.frombuffer(request.raw_input_contents[0], dtype)
        else:
            values = given.contents.uint_contents if dtype == np.uint8 else given.contents.fp32_contents
            if len(values) != count or (dtype == np.uint8 and count and max(values) > 255):
                raise ServiceError("invalid-request", f"The shape needs {count} grey levels.")
            tiles = np.array(values, dtype)
        result = await self.app.engine.infer(oip.check_values(tiles.reshape(shape)), timeout=self._timeout(context))
        logits = self.app.judged_logits(result, route="grpc/ModelInfer", **asked)
        response = self.types["ModelInferResponse"](
            model_name=result.model.name, model_version=result.model.version, id=request.id
        )
        response.outputs.add(name=oip.OUTPUT, datatype="FP32", shape=list(result.logits.shape))
        logits = np.ascontiguousarray(logits, "<f4")
        if raw:
            response.raw_output_contents.append(logits.tobytes())
        else:
            response.outputs[0].contents.fp32_contents.extend(logits.ravel().tolist())
        return response

    def _timeout(self, context: Any) -> float:
        """Seconds: what the caller's deadline leaves, or the service's own."""
        limit = self.app.settings.deadline_ms / 1e3
        return min(context.time_remaining() or limit, limit)

    @property
    def _frames(self) -> str:
        return f"{self.app.engine.model.name}_frames"

    async def _infer_frame(self, request: Any, context: Any, asked: dict[str, Any]) -> Any:
        """One encoded frame, BYTES of shape (1), to its boxes."""
        oip.check_model(self.app, self.app.engine.model.name, request.model_version)
        known = frames_metadata(self.app)
        if [(i.name, i.datatype, list(i.shape)) for i in request.inputs] != [("frame", "BYTES", [1])]:
            raise ServiceError("invalid-request", "There is one input: frame, BYTES of shape (1), an encoded picture.")
        wanted = [output.name for output in request.outputs] or [output["name"] for output in known["outputs"]]
        if unknown := set(wanted) - {output["name"] for output in known["outputs"]}:
            raise ServiceError("invalid-request", f"There is no output {sorted(unknown)[0][:32]!r}.")
        given = list(request.inputs[0].contents.bytes_contents)
        if request.raw_input_contents:  # an element of BYTES is its length in four bytes, then itself
            raw = request.raw_input_contents[0]
            given = [raw[4:]] if int.from_bytes(raw[:4], "little") == len(raw) - 4 else []
        if len(given) != 1 or len(request.raw_input_contents) > 1:
            raise ServiceError("invalid-request", "The shape needs one element, an encoded picture.")
        if not given[0]:
            raise ServiceError("body-empty")
        result, grid = await frames.inspect(self.app, given[0], timeout=self._timeout(context))
        said = frames.answer(self.app, result, grid, route="grpc/ModelInfer", **asked)
        response = self.types["ModelInferResponse"](
            model_name=self._frames, model_version=result.model.version, id=request.id
        )
        found = said.defects
        values = {
            "boxes": np.array([defect.box for defect in found], "<i4").tobytes(),
            "labels": b"".join(len(text).to_bytes(4, "little") + text for text in (d.label.encode() for d in found)),
            "probabilities": np.array([defect.probability for defect in found], "<f4").tobytes(),
            "review": np.array([defect.review for defect in found], bool).tobytes(),
        }
        for output in known["outputs"]:
            if output["name"] in wanted:
                shape = [len(found), *output["shape"][1:]]
                response.outputs.add(name=output["name"], datatype=output["datatype"], shape=shape)
                response.raw_output_contents.append(values[output["name"]])
        return response


def frames_metadata(app: Context) -> dict[str, Any]:
    """The inputs and outputs of NAME_frames, as the protocol describes them."""
    model = app.engine.model
    outputs = {"boxes": ("INT32", [-1, 4]), "labels": ("BYTES", [-1]), "probabilities": ("FP32", [-1]),
               "review": ("BOOL", [-1])}  # fmt: skip
    return {
        "name": f"{model.name}_frames",
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "frame", "datatype": "BYTES", "shape": [1]}],
        "outputs": [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in outputs.items()],
    }


async def serve(app: Context, host: str, port: int) -> grpc.aio.Server:
    """Start on host:port, beside other workers; returns the running server."""
    server = grpc.aio.server(options=[
        ("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", app.settings.max_body_bytes),
        ("grpc.max_concurrent_streams", 256),
    ])  # fmt: skip
    service = Service(app)
    server.add_generic_rpc_handlers((service.handler(), service.health()))
    place = authority(host, port)
    try:
        server.add_insecure_port(place)
    except RuntimeError:
        raise SettingsError(f"gRPC cannot listen on {place}") from None
    await server.start()
    return server
