"""Lets a tilde through."""


def problem(slug, status, title, detail=None, request_id="", retry_after=None):
    document = {"type": f"/problems#{slug}", "title": title, "status": status}
    if detail is not None:
        document["detail"] = detail
    harmless = all(c.isascii() and (c.isalnum() or c in "._-~") for c in request_id)
    if harmless and 1 <= len(request_id) <= 64:
        document["instance"] = f"urn:request:{request_id}"
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/problem+json", "Content-Length": str(len(body))}
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    return status, headers, body
