"""Assemble a function's folder: its entry, tile.py, requirements, the model and its card.

    python deploy/serverless/build.py aws --card cvprod/serving/models/steel.json --out build/aws
    python -m pip install --target build/aws -r build/aws/requirements.txt      # Lambda wants the packages inside
    python -m compileall -q --invalidation-mode unchecked-hash build/aws        # see below

Where the folder cannot be written to, as on Lambda, Python compiles every module anew in every cold start, unless the
compiled files are in it. `unchecked-hash` keeps them valid whatever times the archive gives the files.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ENTRIES = {"aws": "handler.py", "gcp": "main.py", "azure": "function_app.py"}


def build(provider, card, out):
    """Write the folder `out`; returns it. Raises ValueError for an unknown provider, FileNotFoundError."""
    if provider not in ENTRIES:
        raise ValueError(f"no function for {provider!r}; there are {', '.join(ENTRIES)}")
    card, out = Path(card), Path(out)
    described = json.loads(card.read_text())
    model = card.parent / described["file"]
    out.mkdir(parents=True, exist_ok=True)
    for file in (HERE / "tile.py", *(path for path in (HERE / provider).iterdir() if path.is_file())):
        shutil.copy(file, out)
    shutil.copyfile(model, out / "model.onnx")
    (out / "model.json").write_text(json.dumps(described | {"file": "model.onnx"}, indent=1) + "\n")
    return out


def main():
    parser = argparse.ArgumentParser(description="Assemble the folder of a function.")
    parser.add_argument("provider", choices=ENTRIES)
    parser.add_argument("--card", required=True, type=Path, help="the model's card")
    parser.add_argument("--out", required=True, type=Path, help="the folder to write")
    options = parser.parse_args()
    try:
        print(build(options.provider, options.card, options.out))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
