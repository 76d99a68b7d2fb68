"""POST /v1/frames: a frame of a line camera in, boxes in its own coordinates out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from cvprod.serving import frames
from cvprod.serving.api import openapi
from cvprod.serving.api.forms import asked_by, read_images, unsupported
from cvprod.serving.api.openapi import problems
from cvprod.serving.context import Context
from cvprod.serving.errors import ServiceError
from cvprod.serving.verdict import encode


def router(app: Context) -> APIRouter:
    """The route /v1/frames."""
    made = APIRouter(tags=["inspection"])

    @made.post(
        "/v1/frames",
        response_model=None,
        summary="Find the defects on a frame",
        openapi_extra=openapi.BODY,
        responses={
            200: {
                "description": "Boxes, and the label of each tile",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InspectionOfFrame"}}},
            },
            **problems(
                "body-empty",
                "media-type-unsupported",
                "body-too-large",
                "image-too-small",
                "overloaded",
                "draining",
                "deadline-exceeded",
            ),
        },
    )
    async def find(request: Request) -> Response:
        """The body is one picture, raw or as the one file of a form. It is cut into overlapping tiles, which run
        together; what they say is merged into boxes.

        Coordinates are pixels of the upright frame (EXIF orientation applied) before any resize: x0, y0, x1, y1, where
        x1 and y1 are exclusive.
        """
        headers = dict(request.scope["headers"])
        result, grid = await frames.inspect(app, await _body(request), timeout=app.timeout(headers))
        found = frames.answer(app, result, grid, route="/v1/frames", **asked_by(request))
        return Response(encode(found), media_type="application/json")

    async def _body(request: Request) -> bytes:
        headers = dict(request.scope["headers"])
        kind = headers.get(b"content-type", b"application/octet-stream").decode("latin-1").lower()
        if kind.startswith("multipart/"):
            (frame,) = await read_images(app, request, limit=app.settings.max_body_bytes, max_images=1)
            return frame
        if not kind.startswith(("image/", "application/octet-stream")):
            raise unsupported(kind)
        body = await app.read_body(headers, request.receive)
        if not body:
            raise ServiceError("body-empty")
        return body

    return made
