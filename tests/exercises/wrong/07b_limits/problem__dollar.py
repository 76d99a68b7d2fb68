"""In a regular expression, $ also matches before a line break at the end."""

import json
import math
import re


def problem(slug, status, title, detail=None, request_id="", retry_after=None):
    document = {"type": f"/problems#{slug}", "title": title, "status": status}
    if detail is not None:
        document["detail"] = detail
    if re.match(r"^[A-Za-z0-9._-]{1,64}$", request_id):
        document["instance"] = f"urn:request:{request_id}"
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/problem+json", "Content-Length": str(len(body))}
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return status, headers, body
