"""FastAPI: the service's own interface, its documentation, and how errors look.

`make_api` gives the application behind `app.App`; the routers of the other interfaces are added here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from cvprod.serving import metrics
from cvprod.serving.api import pages, shedding
from cvprod.serving.errors import KINDS, MEDIA_TYPE, ServiceError

if TYPE_CHECKING:
    from cvprod.serving.api.app import App


class Model(BaseModel):
    """The model that answered."""

    name: str
    version: str


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    errors: list[dict[str, str]] = []


class ImageResult(BaseModel):
    """One picture of several: a label, or the problem with it."""

    index: int = Field(description="its place in the request, from 0")
    label: str | None = None
    probability: float | None = Field(None, description="calibrated: of all answers with 0.9, nine in ten are right")
    review: bool | None = Field(None, description="true where a human should look")
    probabilities: dict[str, float] | None = None
    problem: Problem | None = None


class InspectionOfOne(BaseModel):
    """The answer to one picture."""

    label: str
    probability: float
    review: bool
    model: Model
    timing_ms: dict[str, float]
    request_id: str
    probabilities: dict[str, float] | None = None


class InspectionOfMany(BaseModel):
    """The answer to several pictures."""

    images: list[ImageResult]
    model: Model
    timing_ms: dict[str, float]
    request_id: str


def problems(*slugs: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for these problems, grouped by status."""
    found: dict[int | str, dict[str, Any]] = {}
    for slug in ("malformed-request", "unauthorized", "rate-limited", "internal", *slugs):
        kind = KINDS[slug]
        entry = found.setdefault(
            kind.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        )
        entry["description"] += ("; " if entry["description"] else "") + kind.title
    return found


_IMAGE = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": _IMAGE,
            "image/png": _IMAGE,
            "image/bmp": _IMAGE,
            "application/octet-stream": _IMAGE,
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {
                        "images": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
                    },
                }
            },
        },
    },
    "parameters": [
        {
            "name": "X-Request-Id",
            "in": "header",
            "required": False,
            "description": "comes back in the answer and in the log",
            "schema": {"type": "string", "pattern": f"^{shedding.NAME.decode()}$"},
        },
        {
            "name": "X-Timeout-Ms",
            "in": "header",
            "required": False,
            "description": "an answer later than this is of no use",
            "schema": {"type": "number", "minimum": 1, "exclusiveMaximum": 10000000},
        },
    ],
}


class _Form(MultiPartParser):
    """Knows whether the form was whole, and writes nothing to disk."""

    whole = False

    def on_end(self) -> None:
        self.whole = True


async def read_images(app: App, request: Request, *, limit: int, max_images: int) -> list[bytes]:
    """The pictures of a multipart request. Raises ServiceError."""
    headers = dict(request.scope["headers"])
    if headers.get(b"content-type", b"").lower().partition(b";")[0].strip() != b"multipart/form-data":
        raise ServiceError("media-type-unsupported")
    body = await app.read_body(headers, request.receive, limit)
    if not body:
        raise ServiceError("body-empty")

    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    parser = _Form(request.headers, once(), max_files=max_images, max_fields=16, max_part_size=64 * 1024)
    parser.spool_max_size = limit  # no part is longer than the body, which is in memory already
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            raise ServiceError("too-many-images", f"More than {max_images}.") from None
        raise ServiceError("malformed-request", "The multipart body cannot be read.") from None
    except (OSError, MemoryError):  # ours, not the caller's
        raise
    except Exception:  # a parser may fail in any way on a hostile body
        raise ServiceError("malformed-request", "The multipart body cannot be read.") from None
    if not parser.whole:  # what came before the cut may look complete, but its last picture is missing
        raise ServiceError("malformed-request", "The form ends before its closing boundary.")
    pictures = []
    for _, file in form.multi_items():
        if not isinstance(file, str):
            pictures.append(await file.read())
            await file.close()
    if not pictures:
        raise ServiceError("body-empty", "There is no file in the form; send each picture as a file named images.")
    return pictures


def make_api(app: App) -> FastAPI:
    """The FastAPI application behind `app`."""
    from cvprod.serving import jobs
    from cvprod.serving.api import oip, stream

    api = FastAPI(
        title="Steel inspection",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        description="Pictures of hot-rolled steel in, defect classes out. Problems come as application/problem+json.",
    )

    @api.post(
        "/v1/inspect",
        response_model=None,
        tags=["inspection"],
        summary="Inspect one picture, or several",
        openapi_extra=_BODY,
        responses={
            200: {
                "description": "A label for each picture",
                "content": {
                    "application/json": {
                        "schema": {
                            "anyOf": [
                                {"$ref": "#/components/schemas/InspectionOfOne"},
                                {"$ref": "#/components/schemas/InspectionOfMany"},
                            ]
                        }
                    }
                },
            },
            **problems(
                "body-empty", "media-type-unsupported", "body-too-large", "image-corrupt", "overloaded", "draining"
            ),
        },
    )
    async def inspect(request: Request, probabilities: bool = False) -> Response:
        """The body is one picture, or a form with several files. One picture gets one label, or a problem.

        A form gets a list in which each picture has a label or a problem of its own. JPEG, PNG and BMP; EXIF is
        dropped, orientation applied.
        """
        pictures = await read_images(
            app, request, limit=app.settings.max_body_bytes, max_images=app.settings.max_images
        )
        result = await app.engine.inspect(pictures, timeout=app.timeout(dict(request.scope["headers"])))
        request_id = request.state.request_id
        rows = [describe(app, result, i, request_id, probabilities=probabilities) for i in range(len(pictures))]
        return JSONResponse(
            {
                "images": rows,
                "model": {"name": result.model.name, "version": result.model.version},
                "timing_ms": {
                    "queue": round(result.queue_ms, 3),
                    "decode": round(result.decode_ms, 3),
                    "infer": round(result.infer_ms, 3),
                },
                "request_id": request_id,
            }
        )

    @api.get("/healthz", tags=["operation"], summary="Is the process alive?", responses=problems())
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @api.get(
        "/readyz",
        tags=["operation"],
        summary="Should it get requests?",
        response_model=dict[str, str],
        responses={503: {"description": "Going down", "content": {"application/json": {}}}, **problems()},
    )
    async def readyz() -> Response:
        ready = app.ready and not app.engine.draining
        return JSONResponse(
            {"status": "ready" if ready else "draining", "model": app.engine.model.version}, 200 if ready else 503
        )

    @api.get(
        "/metrics",
        tags=["operation"],
        summary="For Prometheus",
        response_class=Response,
        responses={200: {"description": "Exposition format", "content": {"text/plain": {}}}, **problems()},
    )
    async def read_metrics() -> Response:
        metrics.WAITING.set(app.engine.waiting)
        app.count_refused()
        return Response(metrics.expose(), media_type=metrics.CONTENT_TYPE)

    api.include_router(jobs.router(app))
    api.include_router(oip.router(app))
    api.include_router(stream.router(app))
    _document(api)
    _errors(api)
    return api


def describe(app: App, result: Any, row: int, request_id: str, *, probabilities: bool = False) -> dict[str, Any]:
    """One picture's part of an answer, counted."""
    if row in result.faults:
        return {"index": row, "problem": result.faults[row].document(request_id)}
    best = int(result.probabilities[row].argmax())
    label, probability = result.model.card.classes[best], round(float(result.probabilities[row, best]), 5)
    review = probability < app.settings.review_below
    app.count(label, result.model.version, review)
    found: dict[str, Any] = {"index": row, "label": label, "probability": probability, "review": review}
    if probabilities:
        found["probabilities"] = app.all_probabilities(result, row)
    return found


def _errors(api: FastAPI) -> None:
    def answer(request: Request, problem: ServiceError) -> Response:
        metrics.REJECTED.labels(problem.slug).inc()
        request_id = getattr(request.state, "request_id", "")
        return Response(problem.body(request_id), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)

    @api.exception_handler(ServiceError)
    async def known(request: Request, error: ServiceError) -> Response:
        return answer(request, error)

    @api.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> Response:
        return answer(request, ServiceError("internal"))  # `App` logs it: the error is raised again after this

    @api.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [{"where": ".".join(map(str, e["loc"])), "what": e["msg"]} for e in error.errors()[:20]]
        return answer(request, ServiceError("invalid-request", errors=faults))

    @api.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        slug = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "malformed-request")
        return answer(request, ServiceError(slug, headers=dict(error.headers or {})))


def _document(api: FastAPI) -> None:
    """The OpenAPI document with this module's schemas, and pages for people that load nothing from elsewhere."""
    made = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema:
            return api.openapi_schema
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for model in (Problem, Model, ImageResult, InspectionOfOne, InspectionOfMany):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
        document["components"]["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer"},
            "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["security"] = [{}, {"key": []}, {"header": []}]
        api.openapi_schema = document
        return document

    api.openapi = openapi  # type: ignore[method-assign]

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(pages.operations(api.openapi()))

    @api.get("/problems", include_in_schema=False)
    async def explain() -> HTMLResponse:
        return HTMLResponse(pages.problems())
