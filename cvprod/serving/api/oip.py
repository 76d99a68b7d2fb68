"""Open Inference Protocol v2 over REST, for clients that send tensors instead of pictures (KServe, Triton, MLServer).

Specification: github.com/kserve/open-inference-protocol. With the binary tensor extension, in which JSON and raw
little-endian tensors share one body and `Inference-Header-Content-Length` says where the JSON ends, and as much of the
model repository extension as a hot swap needs.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from cvprod.serving.api.forms import asked_by
from cvprod.serving.api.openapi import problems
from cvprod.serving.context import Context
from cvprod.serving.engine import Result
from cvprod.serving.errors import ServiceError
from cvprod.serving.model import SIDE

INPUT, OUTPUT = "pixels", "logits"
DATATYPES = {"UINT8": np.dtype("u1"), "FP32": np.dtype("<f4")}
HEADER = "inference-header-content-length"


def model_metadata(app: Context) -> dict[str, Any]:
    """The model's inputs and outputs, as the protocol describes them."""
    model = app.engine.model
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT, "datatype": "UINT8", "shape": [-1, 1, SIDE, SIDE]}],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(model.card.classes)]}],
    }


def check_model(app: Context, name: str, version: str = "") -> None:
    """Raises ServiceError (not-found)."""
    model = app.engine.model
    if name != model.name:
        raise ServiceError("not-found", f"There is no model of that name; there is {model.name}.")
    if version and version != model.version:
        raise ServiceError("not-found", f"Version {model.version} is loaded.")


def check_tensor(app: Context, name: str, datatype: str, shape: list[int]) -> np.dtype:
    """The dtype of an input. Raises ServiceError that names what is wrong."""
    if name != INPUT:
        raise ServiceError("invalid-request", f"The input is called {INPUT}.")
    if datatype not in DATATYPES:
        raise ServiceError("invalid-request", f"Datatype {datatype[:16]!r} is not one of {', '.join(DATATYPES)}.")
    if len(shape) != 4 or list(shape[1:]) != [1, SIDE, SIDE] or shape[0] < 1:
        raise ServiceError("invalid-request", f"The shape must be (N, 1, {SIDE}, {SIDE}) with N of at least 1.")
    if shape[0] > app.settings.max_images:
        raise ServiceError("too-many-images", f"At most {app.settings.max_images}.")
    return DATATYPES[datatype]


def check_values(tiles: np.ndarray) -> np.ndarray:
    """Grey levels: numbers from 0 to 255. Raises ServiceError, also for what was scaled to 0..1: the network would call
    it a nearly black tile, with confidence."""
    if tiles.dtype != np.uint8 and not (np.isfinite(tiles).all() and tiles.min() >= 0 and tiles.max() <= 255):
        raise ServiceError("invalid-request", "Grey levels are numbers from 0 to 255.")
    if tiles.dtype != np.uint8 and tiles.max() <= 1 and (tiles % 1).any():
        raise ServiceError("invalid-request", "These look scaled to 0..1. Send grey levels from 0 to 255, unscaled.")
    return tiles


def router(app: Context) -> APIRouter:
    """The routes below /v2."""
    made = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @made.get("", summary="Server metadata", responses=problems())
    async def server() -> dict[str, Any]:
        return {"name": "cvprod", "version": "2", "extensions": ["binary_tensor_data", "model_repository"]}

    @made.get("/health/live", summary="Is the server alive?", responses=problems())
    async def live() -> dict[str, bool]:
        return {"live": True}

    @made.get("/health/ready", summary="Should it get requests?", responses=problems("draining"))
    async def ready() -> Response:
        fine = app.ready and not app.engine.draining
        return JSONResponse({"ready": fine}, 200 if fine else 503)

    @made.get("/models/{name}", summary="Model metadata", responses=problems("not-found"))
    @made.get(
        "/models/{name}/versions/{version}", summary="Model metadata of a version", responses=problems("not-found")
    )
    async def metadata(name: str, version: str = "") -> dict[str, Any]:
        check_model(app, name, version)
        return model_metadata(app)

    @made.get("/models/{name}/ready", summary="Is the model loaded?", responses=problems("not-found", "draining"))
    @made.get(
        "/models/{name}/versions/{version}/ready",
        summary="Is this version loaded?",
        responses=problems("not-found", "draining"),
    )
    async def model_ready(name: str, version: str = "") -> Response:
        check_model(app, name, version)
        fine = app.ready and not app.engine.draining
        return JSONResponse({"name": name, "ready": fine}, 200 if fine else 503)

    body = {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _REQUEST}, "application/octet-stream": {}},
        }
    }
    answers = problems("not-found", "invalid-request", "body-too-large", "overloaded", "draining")

    @made.post("/models/{name}/infer", summary="Run the network", openapi_extra=body, responses=answers)
    @made.post(
        "/models/{name}/versions/{version}/infer", summary="Run this version", openapi_extra=body, responses=answers
    )
    async def infer(request: Request, name: str, version: str = "") -> Response:
        """Grey levels in, logits out: UINT8 or FP32 of shape (N, 1, 96, 96), as JSON or as binary tensors."""
        check_model(app, name, version)
        headers = dict(request.scope["headers"])
        data = await app.read_body(headers, request.receive)
        split = headers.get(HEADER.encode())
        document, binary = _split(data, split)
        asked = _decode(document)
        tiles = _tensor(app, asked, binary)
        result = await app.engine.infer(check_values(tiles), timeout=app.timeout(headers))
        logits = app.judged_logits(result, route="/v2/models/{name}/infer", **asked_by(request))
        return _answer(asked, result, logits)

    @made.post("/repository/index", summary="Models of this server", responses=problems("forbidden"))
    async def index() -> list[dict[str, str]]:
        model = app.engine.model
        return [{"name": model.name, "version": model.version, "state": "READY", "reason": ""}]

    @made.post(
        "/repository/models/{name}/load",
        summary="Load the model's file again, in every worker or in none",
        responses=problems("forbidden", "not-found", "model-refused"),
    )
    async def load(name: str) -> dict[str, str]:
        """Reads the card and the file that the server was started with, checks, tests and warms up.

        A file that fails is refused, and the old model keeps serving. Needs a key with the scope admin where keys are
        set.
        """
        check_model(app, name)
        return {"name": name, "version": await app.swap(None)}

    return made


_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "datatype", "shape"],
                "properties": {
                    "name": {"type": "string", "enum": [INPUT]},
                    "datatype": {"type": "string", "enum": list(DATATYPES)},
                    "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4},
                    "data": {"type": "array", "items": {}},
                    "parameters": {"type": "object"},
                },
            },
        },
        "outputs": {
            "type": "array",
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
        "parameters": {"type": "object"},
    },
}


class _Tensor(msgspec.Struct):
    name: str
    datatype: str = ""
    shape: list[int] = []
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


class _Infer(msgspec.Struct):
    inputs: list[_Tensor]
    id: str = ""
    outputs: list[_Tensor] = []
    parameters: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Infer)


def _split(data: bytes, length: bytes | None) -> tuple[bytes, bytes]:
    if length is None:
        return data, b""
    if not length.isdigit() or len(length) > 20 or int(length) > len(data):  # int() refuses thousands of digits
        raise ServiceError("malformed-request", "Inference-Header-Content-Length is not a length within the body.")
    return data[: int(length)], data[int(length) :]


def _decode(document: bytes) -> _Infer:
    try:
        asked = _decoder.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = str(error) if isinstance(error, msgspec.ValidationError) else "it is not JSON"
        raise ServiceError("invalid-request", f"The request cannot be read: {text[:200]}.") from None
    if len(asked.inputs) != 1:
        raise ServiceError("invalid-request", "There is one input.")
    if any(output.name != OUTPUT for output in asked.outputs):
        raise ServiceError("invalid-request", f"The output is called {OUTPUT}.")
    return asked


def _tensor(app: Context, asked: _Infer, binary: bytes) -> np.ndarray:
    given = asked.inputs[0]
    dtype = check_tensor(app, given.name, given.datatype, given.shape)
    count = math.prod(given.shape)
    size = given.parameters.get("binary_data_size")
    if size is not None:
        if size != count * dtype.itemsize or size != len(binary):
            raise ServiceError(
                "invalid-request",
                f"The shape needs {count * dtype.itemsize} bytes; binary_data_size and the body must agree.",
            )
        return np.frombuffer(binary, dtype).reshape(given.shape)
    try:
        values = np.asarray(given.data)
    except ValueError:
        values = np.zeros(0, object)
    if given.data is None or values.size != count or values.dtype.kind not in "iuf":
        raise ServiceError("invalid-request", f"The shape needs {count} numbers as data.")
    if dtype == np.uint8 and (values.dtype.kind == "f" or values.min() < 0 or values.max() > 255):
        raise ServiceError("invalid-request", "UINT8 data are whole numbers from 0 to 255.")
    return values.astype(dtype).reshape(given.shape)


def _answer(asked: _Infer, result: Result, logits: np.ndarray) -> Response:
    binary = bool(asked.parameters.get("binary_data_output"))
    if asked.outputs:
        binary = bool(asked.outputs[0].parameters.get("binary_data", binary))
    logits = np.ascontiguousarray(logits, "<f4")
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": list(logits.shape)}
    document = {"model_name": result.model.name, "model_version": result.model.version, "outputs": [output]}
    if asked.id:
        document["id"] = asked.id
    if not binary:
        output["data"] = [float(v) for v in logits.ravel()]
        return Response(msgspec.json.encode(document), media_type="application/json")
    raw = logits.tobytes()
    output["parameters"] = {"binary_data_size": len(raw)}
    head = msgspec.json.encode(document)
    return Response(head + raw, headers={HEADER: str(len(head))}, media_type="application/octet-stream")
