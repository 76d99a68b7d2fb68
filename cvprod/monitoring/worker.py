"""A helper process of `dials.draw_all`: ``python -m cvprod.monitoring.worker``, jobs and tiles pickled over pipes."""

from __future__ import annotations

import pickle
import sys

if __name__ == "__main__":
    import cv2

    from cvprod.monitoring.dials import _some

    cv2.setNumThreads(1)  # one process a core is all the parallelism there is to have
    pickle.dump([_some(*part[1:]) for part in pickle.load(sys.stdin.buffer)], sys.stdout.buffer, protocol=5)
