r"""Puts JSON together by hand, counts characters, and lets \w and a newline through."""

import math
import re


def problem(slug, status, title, detail=None, request_id="", retry_after=None):
    text = f'{{"type": "/problems#{slug}", "title": "{title}", "status": {status}'
    if detail:
        text += f', "detail": "{detail}"'
    if re.match(r"[\w.-]{1,64}$", request_id):
        text += f', "instance": "urn:request:{request_id}"'
    text += "}"
    headers = {"Content-Type": "application/problem+json", "Content-Length": str(len(text))}
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return status, headers, text.encode()
