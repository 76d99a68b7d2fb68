"""The Lambda handler as tutorials have it: a schema library, an imaging library and another one for the resize.

It gives the same verdicts as deploy/serverless/aws/handler.py, for one image a call; it is here to be compared with.
"""

import base64
import io
import os
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from PIL import Image
from pydantic import BaseModel


class Event(BaseModel):
    images: list[str]


class Verdict(BaseModel):
    label: str
    probability: float


CARD_FILE = Path(os.environ["CARD"])


class Card(BaseModel):
    file: str
    classes: list[str]
    temperature: float
    version: str


CARD = Card.model_validate_json(CARD_FILE.read_text())
SESSION = ort.InferenceSession(str(CARD_FILE.parent / CARD.file), providers=["CPUExecutionProvider"])


def verdict(image):
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(image))).convert("L"))
    tile = cv2.resize(grey, (96, 96), interpolation=cv2.INTER_AREA)
    logits = SESSION.run(None, {SESSION.get_inputs()[0].name: tile[None, None]})[0][0] / CARD.temperature
    odds = np.exp(logits - logits.max())
    best = int(odds.argmax())
    return Verdict(label=CARD.classes[best], probability=round(float(odds[best] / odds.sum()), 4))


def handler(event, context):
    return {"model": CARD.version, "results": [verdict(i).model_dump() for i in Event(**event).images]}
