"""At the door: under overload, a picture that has no chance is refused before it is understood.

Ten times the load is mostly refusals. Through the HTTP parser, the application and back, one of them costs a fifth of
an answer, and those who are accepted wait while the others are told no. So while the engine is full, a request that
is nothing but one picture, whole in one read, is answered from its first bytes. Whatever is unusual about it (several
pieces, chunks, a form, another route, a connection to be closed) takes the normal way, where the engine decides.
"""

from __future__ import annotations

import re

from cvprod.serving.errors import MEDIA_TYPE, Overloaded

#: A head longer than this is not looked through.
HEAD = 4096
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
#: What a caller may call its request.
NAME = rb"[A-Za-z0-9._-]{1,64}"
_REQUEST_ID = re.compile(rb"\r\nx-request-id:[ \t]*(%b)[ \t]*\r\n" % NAME, re.IGNORECASE)
_UNUSUAL = re.compile(
    rb"\r\n(?:transfer-encoding|expect|upgrade|content-encoding|connection:(?![ \t]*keep-alive[ \t]*\r\n)"
    rb"|content-type:[ \t]*multipart)",
    re.IGNORECASE,
)
_BEFORE, _, _AFTER = Overloaded(0.0).body("\0").partition(b"\\u0000")


def plain(data: bytes) -> bytes | None:
    """The head of `data` if that is exactly one ordinary `POST /v1/inspect` with one picture, else None."""
    if not data.startswith((b"POST /v1/inspect HTTP/1.1\r\n", b"POST /v1/inspect?")):
        return None
    end = data.find(b"\r\n\r\n", 0, HEAD)
    if end < 0:
        return None
    head = data[: end + 2]
    if b" HTTP/1.1\r\n" not in head or _UNUSUAL.search(head) or head.count(b"\n") != head.count(b"\r\n"):
        return None
    lengths = _LENGTH.findall(head)
    return head if len(lengths) == 1 and len(data) == end + 4 + int(lengths[0]) else None


def request_id(head: bytes) -> bytes:
    """What the caller calls this request, or nothing."""
    given = _REQUEST_ID.search(head)
    return given.group(1) if given else b""


def refusal(name: bytes, retry_after: float, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The whole answer: 429 with the problem document that the normal way would send.

    name: the request id. headers: those that every answer gets.
    """
    body = _BEFORE + name + _AFTER
    common = b"".join([b"%b: %b\r\n" % header for header in headers])
    retry = Overloaded.seconds(retry_after)
    return (
        b"HTTP/1.1 429 Too Many Requests\r\n%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
        b"retry-after: %d\r\n\r\n%b" % (common, MEDIA_TYPE.encode(), len(body), name, retry, body)
    )
