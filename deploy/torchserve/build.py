"""Make steel.mar: `python build.py model.onnx FOLDER` (needs torch-model-archiver, and nothing of the book)."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(model: Path, folder: Path, archiver: str = "torch-model-archiver") -> Path:
    """The archive in `folder`. Raises FileNotFoundError without the model, RuntimeError with the archiver's words."""
    if not model.is_file():
        raise FileNotFoundError(f"{model} is not there: name an ONNX file.")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "model.onnx"
    if model.resolve() != target.resolve():
        target.write_bytes(model.read_bytes())
    words = [archiver, "--model-name", "steel", "--version", "1.0", "--handler", str(HERE / "handler.py")]
    words += ["--extra-files", str(target), "--config-file", str(HERE / "model-config.yaml")]
    words += ["--export-path", str(folder), "--force"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / "steel.mar").is_file():
        raise RuntimeError(f"the archive was not made: {done.stderr.strip()[-500:]}")
    target.unlink()
    return folder / "steel.mar"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python build.py MODEL.onnx FOLDER")
    print(build(Path(sys.argv[1]), Path(sys.argv[2])))
