"""The status of the example for every problem."""

import json
import math
import re


def problem(slug, status, title, detail=None, request_id="", retry_after=None):
    members = {"type": "/problems#" + slug, "title": title, "status": 429, "detail": detail}
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id):
        members["instance"] = "urn:request:" + request_id
    body = json.dumps({k: v for k, v in members.items() if v is not None}).encode()
    headers = {"Content-Type": "application/problem+json", "Content-Length": str(len(body))}
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return status, headers, body
