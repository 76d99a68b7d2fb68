"""Classify a folder of tiles on a Coral Edge TPU (legacy), or, with --cpu, the uncompiled file on any CPU.

python run.py model_int8_edgetpu.tflite FOLDER [--cpu] [--limit N]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from cvprod.edge.engine import dequantise, quantise
from cvprod.edge.sources import frames
from cvprod.surface import CLASSES, to_input

LIBRARY = {"linux": "libedgetpu.so.1", "darwin": "libedgetpu.1.dylib", "win32": "edgetpu.dll"}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder")
    parser.add_argument("--cpu", action="store_true", help="without the accelerator")
    parser.add_argument("--limit", type=int, default=1000)
    options = parser.parse_args(arguments)
    from ai_edge_litert.interpreter import Interpreter, load_delegate

    if not options.model.is_file():
        print(f"{options.model}: no such file; compile.sh makes it", file=sys.stderr)
        return 1
    delegates = []
    if not options.cpu:
        try:
            delegates = [load_delegate(LIBRARY[sys.platform])]
        except (OSError, ValueError) as error:
            print(f"no Edge TPU here ({error}); plug it in, install libedgetpu, or use --cpu", file=sys.stderr)
            return 1
    interpreter = Interpreter(str(options.model), experimental_delegates=delegates)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    found, times = dict.fromkeys(CLASSES, 0), []
    for number, (_, picture) in enumerate(frames(options.folder)):
        if number >= options.limit:
            break
        if picture is None:
            continue
        start = time.perf_counter()
        interpreter.set_tensor(given["index"], quantise(to_input(picture)[None, None], given))
        interpreter.invoke()
        logits = dequantise(interpreter.get_tensor(taken["index"]), taken)
        times.append(time.perf_counter() - start)
        found[CLASSES[int(logits.argmax())]] += 1
    # The first call on an Edge TPU also moves the weights over USB: it is not a measurement.
    p50 = float(np.median(times[1:]) * 1e3) if len(times) > 1 else None
    print(json.dumps({"tiles": len(times), "found": found, "p50_ms": p50}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
