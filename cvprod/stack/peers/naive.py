"""FastAPI as most tutorials have it: a sync handler, which FastAPI runs in its thread pool. Two uvicorn workers."""

import sys

from fastapi import Body, FastAPI
from inspector import Inspector

app = FastAPI()
inspector = Inspector()


@app.get("/ready")
def ready():
    return {"ready": True}


@app.post("/predict")
def predict(body: bytes = Body(media_type="image/jpeg")):
    return inspector(body)


if __name__ == "__main__":
    import uvicorn

    uvicorn.run("naive:app", port=int(sys.argv[1]), workers=2, log_level="warning", access_log=False)
