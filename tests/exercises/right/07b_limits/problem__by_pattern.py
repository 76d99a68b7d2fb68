"""With a regular expression."""

import json
import re


def problem(slug, status, title, detail=None, request_id="", retry_after=None):
    members = {"type": "/problems#" + slug, "title": title, "status": status, "detail": detail}
    if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id):
        members["instance"] = "urn:request:" + request_id
    body = json.dumps({k: v for k, v in members.items() if v is not None}, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/problem+json", "Content-Length": f"{len(body)}"}
    if retry_after is not None:
        headers["Retry-After"] = f"{int(-(-retry_after // 1))}"
    return status, headers, body
