"""What FastAPI's routes take out of a request: the pictures of a form, and who asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import Request
from starlette.formparsers import MultiPartException, MultiPartParser

from cvprod.serving.context import Context
from cvprod.serving.errors import KINDS, ServiceError


def asked_by(request: Request) -> dict[str, Any]:
    """The arguments of `Context.judged` that are in the request itself."""
    state, key = request.state, getattr(request.state, "key", None)
    return {
        "received": state.received,
        "request_id": state.request_id,
        "traceparent": request.headers.get("traceparent", ""),
        "caller": key.name if key else "",
    }


def unsupported(kind: str) -> ServiceError:
    """The problem with this Content-Type."""
    shown = "".join(c for c in kind[:60] if c.isascii() and c.isprintable())
    advice = KINDS["media-type-unsupported"].advice
    return ServiceError("media-type-unsupported", f"{shown or 'No Content-Type'} is not accepted. {advice}")


class _Form(MultiPartParser):
    """Knows whether the form was whole, and writes nothing to disk."""

    whole = False

    def on_end(self) -> None:
        self.whole = True


async def read_images(context: Context, request: Request, *, limit: int, max_images: int) -> list[bytes]:
    """The pictures of a multipart request. Raises ServiceError."""
    headers = dict(request.scope["headers"])
    if headers.get(b"content-type", b"").lower().partition(b";")[0].strip() != b"multipart/form-data":
        raise unsupported(headers.get(b"content-type", b"").decode("latin-1"))
    body = await context.read_body(headers, request.receive, limit)
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
