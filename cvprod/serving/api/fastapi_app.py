"""FastAPI: the service's own interface, and how errors look.

`make_api` gives the application behind `app.App`; the routers of the other interfaces are added here.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from cvprod.serving import metrics
from cvprod.serving.api import frames, jobs, oip, openapi, stream
from cvprod.serving.api.forms import asked_by, read_images
from cvprod.serving.api.openapi import problems
from cvprod.serving.context import Context
from cvprod.serving.errors import MEDIA_TYPE, ServiceError
from cvprod.serving.jobs import Store
from cvprod.serving.verdict import InspectionOfMany, ModelInfo, encode, image_result, not_an_image


def make_api(app: Context, store: Store) -> FastAPI:
    """The FastAPI application behind `api.app.App`; store: where its jobs are."""

    api = FastAPI(
        title="Steel inspection",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,  # behind a proxy that ends TLS it would lead to http://
        description="Pictures of hot-rolled steel in, defect classes out. Problems come as application/problem+json.",
    )

    @api.post(
        "/v1/inspect",
        response_model=None,
        tags=["inspection"],
        summary="Inspect one picture, or several",
        openapi_extra=openapi.BODY,
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
        dropped, orientation applied. Each picture is brought to 96 x 96; `picture` says what it was. A picture that
        is much larger than a tile is for POST /v1/frames.
        """
        pictures = await read_images(
            app, request, limit=app.settings.max_body_bytes, max_images=app.settings.max_images
        )
        result = await app.engine.inspect(pictures, timeout=app.timeout(dict(request.scope["headers"])))
        request_id = request.state.request_id
        verdicts = app.judged(result, route="/v1/inspect", **asked_by(request))
        answer = InspectionOfMany(
            [
                image_result(i, verdict, probabilities=probabilities, size=result.sizes[i])
                if verdict
                else not_an_image(i, result.faults[i].document(request_id))
                for i, verdict in enumerate(verdicts)
            ],
            ModelInfo(result.model.name, result.model.version),
            result.timing_ms(),
            request_id,
        )
        return Response(encode(answer), media_type="application/json")

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

    api.include_router(frames.router(app))
    api.include_router(jobs.router(app, store))
    api.include_router(oip.router(app))
    api.include_router(stream.router(app))
    openapi.document(api)
    _errors(api)
    return api


def _errors(api: FastAPI) -> None:
    def answer(request: Request, problem: ServiceError) -> Response:
        metrics.REJECTED.labels(problem.slug).inc()
        request_id = getattr(request.state, "request_id", "")
        body = problem.body(request_id, told_as_error=request.url.path.startswith("/v2"))
        return Response(body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)

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
