"""Every problem the service can answer with, in one table: RFC 9457 `application/problem+json`.

A problem's `type` is the address of its paragraph in the API reference, so a developer who meets one can look it up. A
detail says what was wrong and what to do; it never holds a path, a stack, a key or a part of an image.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

MEDIA_TYPE = "application/problem+json"
#: Base of the problem types' addresses; relative, so that it holds wherever the service is mounted (RFC 9457, 3.1.1).
TYPE_BASE = "/problems#"


@dataclass(frozen=True)
class Kind:
    """One type of problem: HTTP status, title, and what the caller should do."""

    status: int
    title: str
    advice: str


KINDS: dict[str, Kind] = {
    "image-unsupported": Kind(415, "Image format not supported", "Send JPEG, PNG or BMP."),
    "image-truncated": Kind(422, "Image is cut short", "Send the whole file."),
    "image-corrupt": Kind(422, "Image cannot be decoded", "Check the file where it comes from."),
    "image-too-large": Kind(413, "Image has too many pixels", "Send a smaller picture, or cut it into tiles."),
    "image-too-small": Kind(422, "Image has too few pixels", "Send at least 16 x 16 pixels."),
    "image-animated": Kind(422, "Image has more than one frame", "Send one frame at a time."),
    "image-colour-unsupported": Kind(422, "Colour model not supported", "Send grey or RGB."),
    "image-trailing-data": Kind(422, "Data after the end of the image", "Send the image alone."),
    "body-empty": Kind(400, "Request has no body", "Send an image as the body, or as multipart/form-data."),
    "body-too-large": Kind(413, "Request body too large", "Send fewer or smaller images."),
    "too-many-images": Kind(413, "Too many images in one request", "Split them, or use POST /v1/jobs."),
    "media-type-unsupported": Kind(
        415, "Media type not supported", "Use image/*, application/octet-stream or multipart/form-data."
    ),
    "encoding-unsupported": Kind(415, "Content encoding not supported", "Send the body as it is, without compression."),
    "invalid-request": Kind(422, "Request is not valid", "See the errors."),
    "malformed-request": Kind(400, "Request cannot be read", "See the detail."),
    "unauthorized": Kind(401, "API key missing or unknown", "Send Authorization: Bearer KEY, or X-API-Key."),
    "forbidden": Kind(403, "This key may not do that", "Use a key with the scope that is named."),
    "not-found": Kind(404, "Nothing here", "See /docs for what there is."),
    "method-not-allowed": Kind(405, "Method not allowed", "See the Allow header."),
    "conflict": Kind(409, "Request conflicts with an earlier one", "See the detail."),
    "rate-limited": Kind(429, "Too many requests from you", "Wait as long as Retry-After says."),
    "overloaded": Kind(429, "Service is at its limit", "Wait as long as Retry-After says, then try again."),
    "deadline-exceeded": Kind(
        504, "Too busy to answer in time", "Try again, or allow more time; nothing was processed."
    ),
    "draining": Kind(503, "This worker is going down", "Try again; another one will answer."),
    "model-refused": Kind(422, "Model refused", "The old model keeps serving; see the detail."),
    "worker-killed": Kind(
        500, "This request ends whoever reads it", "Do not send it again. Keep the picture, and report the request id."
    ),
    "internal": Kind(500, "Something is broken here", "Report the request id."),
}


class ServiceError(Exception):
    """A problem that the caller is told about. `slug` is a key of KINDS."""

    def __init__(self, slug: str, detail: str = "", *, headers: dict[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail or KINDS[slug].title)
        self.slug = slug
        self.kind = KINDS[slug]
        self.detail = detail or self.kind.advice
        self.headers = headers or {}
        self.members = members

    @property
    def status(self) -> int:
        return self.kind.status

    def document(self, request_id: str = "") -> dict[str, Any]:
        """The members of the problem document."""
        found: dict[str, Any] = {
            "type": f"{TYPE_BASE}{self.slug}", "title": self.kind.title, "status": self.status, "detail": self.detail,
        }  # fmt: skip
        if request_id:
            found["instance"] = f"urn:request:{request_id}"
        return {**found, **self.members}

    def body(self, request_id: str = "", *, told_as_error: bool = False) -> bytes:
        """The document as JSON; told_as_error: with the member `error`, the one that clients of /v2 read."""
        document = self.document(request_id)
        if told_as_error:
            document["error"] = f"{self.kind.title}: {self.detail}"
        return json.dumps(document, separators=(",", ":")).encode()


class InvalidImage(ServiceError, ValueError):
    """Not an image that this service takes."""


class Overloaded(ServiceError):
    """The queue is as long as the latency budget allows."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("overloaded", headers={"Retry-After": str(self.seconds(retry_after))})

    @staticmethod
    def seconds(retry_after: float) -> int:
        """Retry-After knows whole seconds. Up to two more by chance: callers who were refused together must not come
        back together."""
        return max(1, round(retry_after + 0.499)) + random.randint(0, 2)


class DeadlineExceeded(ServiceError):
    """The answer would come after the caller's deadline, so it was not computed."""

    def __init__(self) -> None:
        super().__init__("deadline-exceeded", headers={"Retry-After": str(Overloaded.seconds(0.0))})


class Draining(ServiceError):
    """The worker finishes what it has and takes nothing new."""

    def __init__(self) -> None:
        super().__init__("draining", headers={"Retry-After": str(Overloaded.seconds(0.0)), "Connection": "close"})
