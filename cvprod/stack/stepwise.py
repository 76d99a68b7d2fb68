"""The FastAPI example of chapter 7, from what most tutorials build to what may be deployed, in five steps.

    with TestClient(build(3), raise_server_exceptions=False) as client:
        client.post("/predict", content=jpeg)

`build(n)` is the service after n steps, a real application at each of them. It borrows from the book's own service what
this one has in files of their own: the model with its self test, the look at a header, the table of problems, the keys.
"""

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import Depends, FastAPI, Request, Response
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import BaseModel

from cvprod.serving import auth, images
from cvprod.serving.errors import MEDIA_TYPE, ServiceError
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.serving.verdict import judge

STEPS = ("tutorial", "lifespan", "response model", "problems", "key", "size limit")
MAX_BODY = 8 * 2**20
REVIEW_BELOW = 0.8


# --- step 0: what most tutorials build ----------------------------------------------------------------------


def tutorial() -> FastAPI:
    """A picture in, a number out."""
    app, model = FastAPI(), Model.load(DEFAULT_MODEL)

    @app.post("/predict")
    async def predict(request: Request) -> dict:
        picture = Image.open(io.BytesIO(await request.body())).convert("L").resize((96, 96))
        logits = model.run(np.asarray(picture)[None, None])
        return {"class": int(logits.argmax()), "scores": logits[0].tolist()}

    return app


# --- step 1: the model is loaded and tested before the first request ----------------------------------------


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What happens before the first request and after the last. Raises ModelError, and then nothing listens."""
    app.state.model = Model.load(app.state.card)  # hash, self test, warm-up
    yield
    del app.state.model


def guess(request: Request, body: bytes) -> dict:
    """As in the tutorial, with the model that was tested."""
    picture = Image.open(io.BytesIO(body)).convert("L").resize((96, 96))
    logits = request.app.state.model.run(np.asarray(picture)[None, None])
    return {"class": int(logits.argmax()), "scores": logits[0].tolist()}


# --- step 2: an answer that a program can act on, from the pixels that training saw --------------------------


class Answer(BaseModel):
    """What the caller gets, and what the documentation says of it."""

    label: str
    probability: float
    review: bool
    model: str


def inspect(request: Request, body: bytes) -> Answer:
    """Look, decode, infer, judge. Raises InvalidImage."""
    model: Model = request.app.state.model
    tile = images.to_tile(body)
    odds = model.probabilities(model.run(tile[None, None]))
    found = judge(odds, model.card.classes, REVIEW_BELOW)[0]
    return Answer(label=found.label, probability=found.probability, review=found.review, model=model.version)


# --- step 3: a refusal is an answer too ---------------------------------------------------------------------


async def problem(request: Request, error: ServiceError) -> Response:
    """Every ServiceError, an InvalidImage too, as RFC 9457 wants it."""
    return Response(error.body(), error.status, headers=error.headers, media_type=MEDIA_TYPE)


# --- step 4: who asks? --------------------------------------------------------------------------------------

header = APIKeyHeader(name="X-API-Key", auto_error=False)  # in the documentation, too


def caller(request: Request, key: Annotated[str | None, Depends(header)]) -> auth.Key | None:
    """Runs before the route, which nobody reaches without a key. Raises ServiceError (unauthorized)."""
    return request.app.state.keys.identify({b"x-api-key": (key or "").encode()})


# --- step 5: no more memory for a stranger than we decided ---------------------------------------------------


async def whole(request: Request) -> bytes:
    """Until step 5: whatever comes."""
    return await request.body()


async def limited(request: Request) -> bytes:
    """The body, of MAX_BODY bytes at most. Raises ServiceError (body-too-large, body-empty)."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_BODY:
        raise ServiceError("body-too-large")  # before a byte of it is read
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:  # it came in chunks, and did not say how long it is
            raise ServiceError("body-too-large")
    if not body:
        raise ServiceError("body-empty")
    return bytes(body)


# --- all of them --------------------------------------------------------------------------------------------


def build(step: int, *, card: Path = DEFAULT_MODEL, keys: Path | None = None) -> FastAPI:
    """The service after so many steps, 0 to 5.

    card: the model. keys: file of API keys (`serving.auth`), of use from step 4 on; without it everybody is let in.
    Raises ValueError for a step that there is not.
    """
    if not 0 <= step < len(STEPS):
        raise ValueError(f"there are steps 0 to {len(STEPS) - 1}, not {step}.")
    if step == 0:
        return tutorial()
    app = FastAPI(lifespan=lifespan, dependencies=[Depends(caller)] if step >= 4 else [])
    app.state.card, app.state.keys = card, auth.Keys(keys)
    answer, read = inspect if step >= 2 else guess, limited if step >= 5 else whole
    if step >= 3:
        app.add_exception_handler(ServiceError, problem)

    @app.post("/predict", response_model=Answer if step >= 2 else None)
    async def predict(request: Request, body: Annotated[bytes, Depends(read)]) -> Answer | dict:
        return answer(request, body)

    return app


def statuses(app: FastAPI, files: Mapping[str, bytes], key: str = "") -> dict[str, int]:
    """Name to the status that a file gets as the body of a POST /predict, over ASGI and with the lifespan."""
    headers = {"X-API-Key": key} if key else {}
    with TestClient(app, raise_server_exceptions=False) as client:
        return {name: client.post("/predict", content=data, headers=headers).status_code
                for name, data in files.items()}  # fmt: skip
