"""`python -m cvprod.serving`: serve the inspection model. Further: `keys add NAME`, `calibrate MODEL`, `frames`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from . import attach, auth, logs
from .card import ModelError
from .settings import DEFAULT_MODEL, SettingsError, load


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 after a clean end, 1 a command failed, 2 wrong options, 3 a model that must not serve."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    commands = {"keys": _keys, "calibrate": _calibrate, "frames": _frames, "proto": _proto}
    try:
        if given and given[0] in commands:
            return commands[given[0]](given[1:])
        settings = load(given)
        if settings.api_keys is not None:
            check_keys(settings.api_keys)
        for name in ("state", "jobs"):
            if (folder := getattr(settings, name)) is not None:
                check_folder(name, folder)
        attach.check(settings)
        logs.configure(settings.log_format, settings.log_level)
        return asyncio.run(_serve(settings))
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except ModelError as error:
        print(f"The model must not serve: {error}.", file=sys.stderr)
        return 3
    except (ValueError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def check_keys(path: Path) -> None:
    """Wrong keys are found here, once, and not in every worker. Raises SettingsError."""
    try:
        auth.read(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"--api-keys {path}: {getattr(error, 'strerror', None) or error}") from None


def check_folder(name: str, path: Path) -> None:
    """The same for a folder that is to be written to. Raises SettingsError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise SettingsError(f"--{name} {path}: {error.strerror}. Name a folder that this user may write to.") from None


async def _serve(settings) -> int:
    from cvprod.serving.process.supervisor import Supervisor

    status = await Supervisor(settings).run()
    # As it closes, the loop gives the signals back to the system, and the interpreter takes a moment more to end:
    # whoever told us twice would read that we were killed.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
    return status


def _keys(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m cvprod.serving keys", description="Make an API key and print it, once."
    )
    parser.add_argument("action", choices=["add"])
    parser.add_argument("name", help="whose key it is")
    parser.add_argument(
        "--file", type=Path, default=Path("api-keys.jsonl"), help="file of hashed keys (default %(default)s)"
    )
    parser.add_argument("--scope", action="append", choices=auth.SCOPES, help="what it may do (default inspect)")
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second (default: the service's)")
    options = parser.parse_args(given)
    print(auth.add(options.file, options.name, tuple(options.scope or ["inspect"]), options.rate))
    print(f"Its hash is in {options.file}. Nobody can show you the key again.", file=sys.stderr)
    return 0


def _calibrate(given: Sequence[str]) -> int:
    from cvprod import surface

    from . import model

    default = Path(__file__).parents[1] / "optimize" / "weights" / "pipeline.onnx"
    parser = argparse.ArgumentParser(
        prog="python -m cvprod.serving calibrate", description="Write the card of a model, with its temperature."
    )
    parser.add_argument("onnx", type=Path, nargs="?", default=default, help="ONNX file (default: the book's pipeline)")
    parser.add_argument("--out", type=Path, help="card to write (default: the service's own, or beside the file)")
    parser.add_argument("--name", default="steel")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument("--tiles", type=int, default=2000, help="validation tiles (default %(default)s)")
    options = parser.parse_args(given)
    out = options.out or (DEFAULT_MODEL if options.onnx == default else options.onnx.with_suffix(".json"))
    if out.suffix != ".json":  # not least the model's own file
        parser.error(f"--out {out}: name a card, a file that ends in .json")
    if options.tiles < 1:
        parser.error(f"--tiles must be at least 1, not {options.tiles}")
    tiles = surface.tiles("val", options.tiles)
    card = model.calibrate(
        options.onnx,
        out,
        name=options.name,
        version=options.version,
        classes=surface.CLASSES,
        tiles=tiles.images,
        labels=tiles.labels,
    )
    print(
        f"{out}: temperature {card.temperature}, expected calibration error "
        f"{card.calibration['ece_before']:.2%} to {card.calibration['ece_after']:.2%}"
    )
    return 0


def _frames(given: Sequence[str]) -> int:
    from cvprod import surface

    from . import localisation, model
    from .settings import Settings

    defaults = Settings()
    parser = argparse.ArgumentParser(
        prog="python -m cvprod.serving frames", description="How many defects are found on generated frames, and where."
    )
    parser.add_argument("--count", type=int, default=200, help="frames (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="model card or ONNX file")
    parser.add_argument(
        "--overlap", type=int, default=defaults.tile_overlap, help="of the tiles, in pixels (default %(default)s)"
    )
    options = parser.parse_args(given)
    if options.count < 1 or options.seed < 0 or not 0 <= options.overlap < defaults.tile_pixels:
        parser.error(f"--count is at least 1, --seed at least 0, --overlap from 0 to {defaults.tile_pixels - 1}")
    score = localisation.measure(
        model.Model.load(options.model),
        surface.frames(options.count, options.seed),
        tile=defaults.tile_pixels,
        overlap=options.overlap,
        review_below=defaults.review_below,
    )
    print("\n".join(score.lines()))
    return 0


def _proto(given: Sequence[str]) -> int:
    argparse.ArgumentParser(
        prog="python -m cvprod.serving proto", description="Compile oip.proto into oip.binpb."
    ).parse_args(given)
    here = Path(__file__).parent
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"-I{here}",
        f"--descriptor_set_out={here / 'oip.binpb'}",
        str(here / "oip.proto"),
    ]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
