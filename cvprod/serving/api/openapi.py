"""What the OpenAPI document says of the routes, beyond what FastAPI reads from them."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from cvprod.serving import verdict
from cvprod.serving.api import pages, plain
from cvprod.serving.errors import KINDS, MEDIA_TYPE


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
BODY = {
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
            "schema": {"type": "string", "pattern": f"^{plain.NAME.decode()}$"},
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


def document(api: FastAPI) -> None:
    """The OpenAPI document with the answers' schemas, and pages for people that load nothing from elsewhere."""
    made = api.openapi

    def openapi() -> dict[str, Any]:
        if api.openapi_schema:
            return api.openapi_schema
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= msgspec.json.schema_components(verdict.ANSWERS, ref_template="#/components/schemas/{name}")[1]
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
