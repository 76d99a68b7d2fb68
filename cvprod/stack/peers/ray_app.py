"""Ray Serve, two replicas with a core each, batches of up to eight."""

import signal
import sys
import time

import numpy as np
import ray
from inspector import Inspector
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=2, max_ongoing_requests=64, ray_actor_options={"num_cpus": 1})
class Service:
    def __init__(self):
        self.inspector = Inspector()

    @serve.batch(max_batch_size=8, batch_wait_timeout_s=0.001)
    async def many(self, jpegs):
        return self.inspector.run(np.stack([self.inspector.tile(jpeg) for jpeg in jpegs]))

    async def __call__(self, request: Request):
        if request.method == "GET":
            return {"ready": True}
        return await self.many(await request.body())


if __name__ == "__main__":
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level="error")
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config={"enable_access_log": False}
    )
    serve.run(Service.bind(), route_prefix="/predict")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        while True:
            time.sleep(1)
    finally:
        ray.shutdown()
