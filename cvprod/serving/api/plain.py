"""One plain picture: a request that cameras send thousands of times a second, known by its first bytes.

The HTTP parser calls back for every header, the server makes a task for every request, the application runs in it: for
one tile, that is a quarter of what its decoding and the network take. So a request that is nothing but one picture is
read in one go (`parse`) and answered from the batch it was in (`exchange`). Whatever is unusual about it (chunks, a
form, an offer, a name twice, another route, a connection to be closed, a byte that does not belong there) takes the
normal way. What is taken here is less than what the parser takes, and means the same to it, so that nobody can hide a
request between the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: A head longer than this is not looked through.
HEAD = 4096
#: What a caller may call its request.
NAME = rb"[A-Za-z0-9._-]{1,64}"
_REQUEST_ID = re.compile(NAME)
_FIRST = re.compile(rb"POST /v1/inspect(?:\?([!\"$-~]*))? HTTP/1\.1\r\n")
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0-\x08\n-\x1f\x7f]*)\r\n")
_UNUSUAL = frozenset((b"transfer-encoding", b"trailer", b"expect", b"upgrade", b"content-encoding", b"x-second-try"))


@dataclass(slots=True)
class Head:
    """What such a request says before its body: headers by their names in small letters, `length` of the body, and
    `size` of the head itself, in bytes."""

    headers: dict[bytes, bytes]
    query: bytes
    length: int
    size: int

    def request_id(self) -> str:
        """What the caller calls this request, or nothing."""
        given = self.headers.get(b"x-request-id", b"")
        return given.decode() if _REQUEST_ID.fullmatch(given) else ""


def parse(data: bytes) -> Head | None:
    """The head of `data` if that begins with one ordinary `POST /v1/inspect` with one picture, else None."""
    first = _FIRST.match(data)
    if first is None:
        return None
    read = first.end()
    end = data.find(b"\r\n\r\n", read - 2, HEAD) + 2
    if end < 2:
        return None
    lines = _LINE.findall(data, read, end)
    headers = {}
    for name, value in lines:
        headers[name.lower()] = value.strip(b" \t")
        read += len(name) + len(value) + 3
    length = headers.get(b"content-length", b"")
    if (
        read != end  # something between two lines
        or len(headers) != len(lines)
        or not _UNUSUAL.isdisjoint(headers)
        or not length.isdigit()
        or len(length) > 9
        or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive"
        or headers.get(b"content-type", b"")[:9].lower() == b"multipart"
    ):
        return None
    return Head(headers, first[1] or b"", int(length), end + 2)
