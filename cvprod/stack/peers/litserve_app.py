"""LitServe, two workers, batches of up to eight."""

import sys
from typing import Annotated

import litserve as ls
import numpy as np
from fastapi import Body
from inspector import Inspector


class Api(ls.LitAPI):
    def setup(self, device):
        self.inspector = Inspector()

    def decode_request(self, request: Annotated[bytes, Body(media_type="image/jpeg")]):
        return self.inspector.tile(request)

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, tiles):
        return self.inspector.run(tiles)

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    server = ls.LitServer(Api(max_batch_size=8, batch_timeout=0.001), accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[1]), log_level="warning", generate_client_file=False, num_api_servers=1)
