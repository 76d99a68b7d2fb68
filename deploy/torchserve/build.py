"""Make steel.mar: `python build.py model.onnx FOLDER` (needs torch-model-archiver, and nothing of the book)."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(model: Path, folder: Path, archiver: str = "torch-model-archiver") -> Path:
    """The archive in `folder`. Raises FileNotFoundError without the model, RuntimeError with the archiver's words."""
    if not model.is_file():
        raise FileNotFoundError(f"{model} is not there: name an ONNX file.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:  # in the archive the file must have the handler's name for it
        copy = shutil.copy(model, Path(scratch) / "model.onnx")
        words = [archiver, "--model-name", "steel", "--version", "1.0", "--handler", str(HERE / "handler.py")]
        words += ["--extra-files", str(copy), "--config-file", str(HERE / "model-config.yaml")]
        words += ["--export-path", str(folder), "--force"]
        try:
            # It works in a folder that has the model's name, in the temporary folder: two at once would share it.
            own = {**os.environ, "TMPDIR": scratch}
            done = subprocess.run(words, capture_output=True, text=True, check=False, env=own)
        except OSError as error:
            why = f"{archiver} does not run ({error.strerror}): pip install torch-model-archiver"
            raise RuntimeError(why) from None
    if done.returncode or not (folder / "steel.mar").is_file():
        raise RuntimeError(f"the archive was not made: {done.stderr.strip()[-500:]}")
    return folder / "steel.mar"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python build.py MODEL.onnx FOLDER")
    try:
        print(build(Path(sys.argv[1]), Path(sys.argv[2])))
    except (OSError, RuntimeError) as error:
        sys.exit(str(error))
