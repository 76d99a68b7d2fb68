"""The inspection service: pictures in, labels out, by HTTP, gRPC and WebSocket; `python -m cvprod.serving` starts it.

    images      look at a picture before decoding it, decode it to the pixels of training
    model       a checked ONNX file with its card; calibrated probabilities
    tiling      a frame into tiles, and their verdicts into boxes; frames: the same in the service
    engine      bounded queue, dynamic batches, deadlines
    verdict     what is said of a picture, and the form of the answers
    context     what the interfaces share: limits, verdicts, who watches
    attach      records, shadow, output filters: what may be attached, and how
    jobs        batches that nobody waits for
    api         HTTP, gRPC and WebSocket: app (the short path), fastapi_app, oip, stream, grpc_server
    process     worker, supervisor: who accepts, who computes, who restarts whom
    auth, metrics, logs, errors, settings, card

Nothing here imports torch: the container that runs it has none.
"""
