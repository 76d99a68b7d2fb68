"""The inspection as a Ray Serve application, for those who have outgrown one machine: replicas over many nodes.

    serve run app:inspection                    # from this folder, on a laptop
    serve deploy serve.yaml                     # on a running cluster

On one machine `cvprod.serving` answers several times as many requests, since a request here passes a proxy process and
a scheduler. What Ray buys is the step to many machines, with replicas that follow the load. Needs ray[serve], the
service's packages (deploy/docker/requirements.in) and the package `cvprod` on every node. Set up as the service is, by
CVPROD_MODEL (a model card) and CVPROD_REVIEW_BELOW.
"""

import time
import uuid

import numpy as np
from ray import serve
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from cvprod.serving import images, verdict
from cvprod.serving.errors import MEDIA_TYPE, ServiceError
from cvprod.serving.model import Model
from cvprod.serving.settings import load
from cvprod.serving.verdict import InspectionOfOne, ModelInfo, Verdict, judge

MOST_BYTES = 8 * 2**20


@serve.deployment(
    name="Inspection",
    ray_actor_options={"num_cpus": 1},
    max_ongoing_requests=8,
    max_queued_requests=32,  # for each proxy; more get 503, which its autoscaler will see as well
    autoscaling_config={
        "min_replicas": 1, "max_replicas": 8, "target_ongoing_requests": 2, "upscale_delay_s": 5,
        "downscale_delay_s": 120,
    },
)  # fmt: skip
class Inspection:
    """One replica: a core, a model, batches of what has arrived."""

    def __init__(self) -> None:
        self.settings = load([])  # of the environment, as the service's own: CVPROD_MODEL, CVPROD_REVIEW_BELOW
        self.model = Model.load(self.settings.model)

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0)
    async def classify(self, tiles: list[np.ndarray]) -> list[tuple[Verdict, float]]:
        """A verdict for each tile, (96, 96) uint8, and the milliseconds that the network took for all of them."""
        start = time.perf_counter()
        odds = self.model.probabilities(self.model.run(np.stack(tiles)[:, None]))
        spent = (time.perf_counter() - start) * 1e3
        verdicts = judge(odds, self.model.card.classes, self.settings.review_below)
        return [(judged, spent) for judged in verdicts]

    async def __call__(self, request: Request) -> Response:
        """POST a picture; GET says that the replica is ready."""
        start, request_id = time.perf_counter(), uuid.uuid4().hex
        try:
            if request.method == "GET":
                return JSONResponse({"ready": True})
            if request.method != "POST":
                raise ServiceError("method-not-allowed", headers={"Allow": "GET, POST"})
            tile = images.to_tile(await self.body(request))
            judged, infer = await self.classify(tile)
            model = ModelInfo(self.model.name, self.model.version)
            timing = {"infer": round(infer, 3), "total": round((time.perf_counter() - start) * 1e3, 3)}
            answer = InspectionOfOne(judged.label, judged.probability, judged.review, model, timing, request_id)
            # By the module's name: Ray pickles what a method names, and an encoder cannot be pickled.
            return Response(verdict.encode(answer), media_type="application/json", headers={"X-Request-Id": request_id})
        except ServiceError as error:
            headers = {**error.headers, "X-Request-Id": request_id}
            return Response(error.body(request_id), error.status, headers, MEDIA_TYPE)
        except ClientDisconnect:
            return Response(status_code=400)

    async def body(self, request: Request) -> bytes:
        """The request's body, which is not read beyond its limit. Raises ServiceError."""
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > MOST_BYTES:
                raise ServiceError("body-too-large")
        if not data:
            raise ServiceError("body-empty")
        return bytes(data)

    def check_health(self) -> None:
        """Called by Ray now and then; a replica that raises is replaced. Raises ModelError."""
        self.model.check()


inspection = Inspection.bind()
