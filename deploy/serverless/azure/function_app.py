"""Azure Functions, the v2 model. POST one JPEG as the body; the answer is JSON. A function key is asked for."""

import json

import azure.functions as func
from tile import MOST_BYTES, Inspector

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
INSPECTOR = Inspector()


@app.route(route="inspect", methods=["POST"])
def inspect(request: func.HttpRequest) -> func.HttpResponse:
    body = request.get_body()
    if len(body) > MOST_BYTES:
        return func.HttpResponse(json.dumps({"error": f"at most {MOST_BYTES:,} bytes are taken"}), status_code=413)
    [result] = INSPECTOR.verdicts([body])
    status = 422 if "refused" in result else 200
    answer = json.dumps({"model": INSPECTOR.card["version"], **result})
    return func.HttpResponse(answer, status_code=status, mimetype="application/json")
