"""The routes below /v1/jobs. How jobs are kept and done is in `cvprod.serving.jobs`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, Response

from cvprod.serving.api.forms import read_images
from cvprod.serving.api.openapi import problems
from cvprod.serving.context import Context
from cvprod.serving.errors import ServiceError
from cvprod.serving.jobs import MAX_BYTES, MAX_IMAGES, Store

JobId = Annotated[str, InPath(pattern=r"^[0-9a-f]{32}$")]


def router(app: Context, store: Store) -> APIRouter:
    """The routes below /v1/jobs."""
    made = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    form = {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["images"],
                        "properties": {
                            "images": {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
                        },
                    }
                }
            },
        }
    }

    def owner(request: Request) -> str:
        key = getattr(request.state, "key", None)
        return key.name if key else ""

    def public(job: dict[str, Any]) -> dict[str, Any]:
        kept = {name: job[name] for name in ("id", "status", "images", "done")}
        return {**kept, "created": job["created"], "results": f"/v1/jobs/{job['id']}/results"}

    @made.post(
        "",
        status_code=202,
        summary="Inspect many pictures later",
        openapi_extra=form,
        response_model=None,
        responses={
            200: {"description": "There already, by its Idempotency-Key"},
            **problems(
                "body-empty",
                "media-type-unsupported",
                "body-too-large",
                "conflict",
                "invalid-request",
                "not-found",
                "draining",
            ),
        },
    )
    async def create(
        request: Request, idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None
    ) -> Response:
        """A form with up to 1000 files. With the same Idempotency-Key, asking again makes no second job."""
        if app.engine.draining:
            raise ServiceError("draining", headers={"Retry-After": "1"})
        pictures = await read_images(app, request, limit=MAX_BYTES, max_images=MAX_IMAGES)
        job, new = await asyncio.to_thread(store.create, pictures, owner(request), idempotency_key)
        found = await asyncio.to_thread(store.owned, job, owner(request))
        return JSONResponse(public(found), 202 if new else 200, headers={"Location": f"/v1/jobs/{job}"})

    @made.get("/{job}", summary="How far is it?", responses=problems("not-found", "invalid-request"))
    async def read(request: Request, job: JobId) -> dict[str, Any]:
        return public(await asyncio.to_thread(store.owned, job, owner(request)))

    @made.get(
        "/{job}/results",
        summary="Answers so far, a JSON object a line",
        response_class=Response,
        responses={
            200: {"description": "NDJSON", "content": {"application/x-ndjson": {}}},
            **problems("not-found", "invalid-request"),
        },
    )
    async def results(request: Request, job: JobId) -> Response:
        data = await asyncio.to_thread(store.results, job, owner(request))
        return Response(data, media_type="application/x-ndjson")

    @made.delete(
        "/{job}",
        status_code=204,
        summary="Cancel and forget it",
        response_class=Response,
        responses=problems("not-found", "invalid-request"),
    )
    async def delete(request: Request, job: JobId) -> Response:
        await asyncio.to_thread(store.forget, job, owner(request))
        return Response(status_code=204)

    return made
