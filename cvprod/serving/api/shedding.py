"""At the door: under overload, a picture that has no chance is refused before anything is done for it.

Ten times the load is mostly refusals. Through the HTTP parser, the application and back, one of them costs a fifth of
an answer, and those who are accepted wait while the others are told no. So while the engine is full, a plain request
(`plain`) is answered with these bytes.
"""

from __future__ import annotations

from cvprod.serving.errors import MEDIA_TYPE, Overloaded

_BEFORE, _, _AFTER = Overloaded(0.0).body("\0").partition(b"\\u0000")


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
