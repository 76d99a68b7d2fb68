"""What callers speak to: HTTP routes, the Open Inference Protocol, WebSocket and gRPC, over one engine."""
