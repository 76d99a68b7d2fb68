"""Google Cloud Run functions (once Cloud Functions). POST one JPEG as the body; the answer is JSON."""

import functions_framework
from tile import MOST_BYTES, Inspector

INSPECTOR = Inspector()


@functions_framework.http
def inspect(request):
    if request.method != "POST":
        return {"error": "send one JPEG picture by POST"}, 405
    if (request.content_length or 0) > MOST_BYTES:
        return {"error": f"at most {MOST_BYTES:,} bytes are taken"}, 413
    [result] = INSPECTOR.verdicts([request.get_data()])
    return {"model": INSPECTOR.card["version"], **result}, 422 if "refused" in result else 200
