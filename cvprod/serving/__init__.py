"""The inspection service: pictures in, labels out, by HTTP, gRPC and WebSocket; `python -m cvprod.serving` starts it.

    images      look at a picture before decoding it, decode it to the pixels of training
    model       a checked ONNX file with its card; calibrated probabilities
    engine      bounded queue, dynamic batches, deadlines
    app, v1, oip, stream    the HTTP interfaces
    grpc_server the Open Inference Protocol over gRPC
    worker, supervisor      processes: who accepts, who computes, who restarts whom
    auth, metrics, logs, errors, settings

Nothing here imports torch: the container that runs it has none.
"""
