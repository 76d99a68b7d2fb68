"""AWS Lambda. Event: {"images": [base64, ...]}; answer: {"model": ..., "results": [{"label", "probability"}, ...]}.

The session is made while the module is imported, in the INIT phase: the first call finds it ready.
"""

import base64
import binascii

from tile import Inspector

INSPECTOR = Inspector()
MOST_IMAGES = 64


def handler(event, context):
    images = event.get("images") if isinstance(event, dict) else None
    if not isinstance(images, list) or not 1 <= len(images) <= MOST_IMAGES:
        return {"error": f"send {{'images': [...]}} with 1 to {MOST_IMAGES} JPEG pictures in base64"}
    try:
        jpegs = [base64.b64decode(image, validate=True) for image in images]
    except (binascii.Error, TypeError, ValueError):
        return {"error": "each image must be a JPEG picture in base64"}
    return {"model": INSPECTOR.card["version"], "results": INSPECTOR.verdicts(jpegs)}
