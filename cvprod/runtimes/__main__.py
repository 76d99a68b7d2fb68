"""`python -m cvprod.runtimes MODEL`: your own network in every runtime that can have it.

MODEL is the path of an .onnx file, or module:factory for PyTorch, where factory() returns a torch.nn.Module. Without
--data the inputs are random: good for time and parity, which need no training, and worthless for accuracy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from cvprod.models import own as networks
from cvprod.models.own import NetworkError
from cvprod.runtimes import own
from cvprod.runtimes.parity import LINEUP


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status (0: well, 1: not even the reference runs). A wrong call exits with 2."""
    parser = argparse.ArgumentParser(prog="python -m cvprod.runtimes", description=__doc__)
    networks.add_arguments(parser)
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="default 1")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"beside the reference; of {', '.join(LINEUP)}")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table here, too")
    options = parser.parse_args(arguments)
    if min(options.threads) < 1:
        parser.error("--threads must be at least 1")
    if options.csv and (options.csv.suffix.lower() != ".csv" or not options.csv.parent.is_dir()):
        parser.error(f"--csv {options.csv}: name a file that ends in .csv, in a folder that is there")
    try:
        network, examples, calibration = networks.opened(options)
        print(networks.describe(network, examples))
        with tempfile.TemporaryDirectory() as folder:
            table, left_out = own.measured(
                network, folder, examples, calibration,
                only=options.only, threads=options.threads, repeats=options.repeats,
            )  # fmt: skip
    except NetworkError as error:
        print(error, file=sys.stderr)
        return 1
    print(networks.report(table, left_out))
    if options.csv:
        try:
            table.to_csv(options.csv)
        except OSError as error:
            parser.error(f"--csv {options.csv}: {error.strerror}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
