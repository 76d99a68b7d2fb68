"""Ray Serve with the application of deploy/ray, scaling between one and two replicas, for as long as it is let live.

Run by the Python of Ray's own environment: `python ray_scaling.py FOLDER_OF_APP PORT`. Prints JSON lines: the number of
running replicas and the time (time.monotonic(), one clock for all processes), four times a second. Stops on SIGTERM.
"""

import json
import os
import signal
import sys
import threading
import time


def main(folder, port):
    import ray
    from ray import serve

    sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = f"{folder}:{os.environ.get('PYTHONPATH', '')}"
    over = threading.Event()

    def leave(*_):
        over.set()
        raise SystemExit(0)  # also out of the start, which takes its time

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
    signal.signal(signal.SIGTERM, leave)  # after ray.init, which brings a handler of its own
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": int(port)}, logging_config={"enable_access_log": False})
        from app import Inspection

        # The policy of production, with the patience of a notebook.
        scaling = {
            "min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 2, "upscale_delay_s": 1.0,
            "downscale_delay_s": 2.0, "metrics_interval_s": 0.25, "look_back_period_s": 1.0,
        }  # fmt: skip
        impatient = Inspection.options(
            autoscaling_config=scaling, max_queued_requests=200, graceful_shutdown_wait_loop_s=0.1
        )
        serve.run(impatient.bind(), name="inspection")
        while not over.wait(0.25):
            status = serve.status().applications["inspection"].deployments["Inspection"]
            running = sum(count for state, count in status.replica_states.items() if str(state) == "RUNNING")
            print(json.dumps({"time": time.monotonic(), "replicas": running}), flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not leave half of it running
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
