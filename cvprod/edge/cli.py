"""The command line of an edge device and of the one who publishes models for it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cvprod.surface import CLASSES

ROOT = Path("/var/lib/cvprod-edge")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 refused or failed (with one line saying why), 2 misuse."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error
        print(what, file=sys.stderr)
        return 1
    except (ValueError, RuntimeError, ImportError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cvprod.edge", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    def device(added: argparse.ArgumentParser) -> None:
        added.add_argument("--model-dir", type=Path, default=ROOT, help=f"the device's folder (default {ROOT})")

    add = command("keygen", _keygen, "Make a signing key; print the public key that devices are to trust.")
    add.add_argument("--out", type=Path, required=True, help="private key file to write (PEM)")

    add = command("publish", _publish, "Sign a model and offer it in a channel, with deltas from earlier versions.")
    add.add_argument("model", type=Path, help="model file or folder")
    add.add_argument("--channel", type=Path, required=True, help="folder that the web server serves")
    add.add_argument("--name", required=True)
    add.add_argument("--version", type=int, required=True, help="whole number, higher than the last")
    add.add_argument("--key", type=Path, required=True, help="private key file")
    add.add_argument("--classes", nargs="+", default=list(CLASSES), help="names of the logits, in order (the book's)")
    add.add_argument("--min-app-version", default="1.0.0")
    add.add_argument("--metrics", type=Path, help="JSON file of measured numbers to show with the update")

    add = command("init", _init, "Set up a device, or change its settings.")
    device(add)
    add.add_argument("--name", required=True, help="the model that this device runs")
    add.add_argument("--channel", required=True, help="folder or https address of the channel")
    add.add_argument("--trust", required=True, action="append", help="public key (base64); may be given twice")
    add.add_argument("--golden", type=Path, help=".npz of images and labels (default: generated tiles)")
    add.add_argument("--app-version", default="1.0.0")
    add.add_argument("--min-accuracy", type=float, default=0.9, help="share of golden tiles to get right (default 0.9)")
    add.add_argument("--max-p50-ms", type=float, default=50.0, help="median latency allowed (default 50)")

    for name, run, text in (
        ("check", _check, "Say whether the channel offers something new and acceptable; installs nothing."),
        ("install", _install, "Fetch, verify, try and switch to what the channel offers."),
        ("rollback", _rollback, "Go back to the model before; the abandoned version is never tried again."),
        ("status", _status, "Print slots, versions and state as JSON."),
    ):
        device(command(name, run, text))

    add = command("run", _run, "Inspect frames from a folder or a camera until stopped; print a summary as JSON.")
    device(add)
    add.add_argument("--source", required=True, help="a folder, 'camera', or 'camera:N'")
    add.add_argument("--watch", action="store_true", help="folder: wait for new files (write beside, then rename)")
    add.add_argument(
        "--again", action="store_true", help="folder: from the beginning, not from where the last run stopped"
    )
    add.add_argument("--limit", type=_count, help="stop after so many frames")
    add.add_argument("--threads", type=_count, default=1)
    add.add_argument("--checkpoint", type=float, metavar="S", help="seconds between checkpoints (default 2)")
    add.add_argument("--log-dir", type=Path, help="where decisions are logged (default MODEL_DIR/log)")
    add.add_argument("--log-bytes", type=_count, default=20_000_000, help="of all log files (default 20 MB)")
    add.add_argument("--disk-reserve", type=int, default=50_000_000, help="bytes the log leaves free (default 50 MB)")

    add = command("health", _health, "Try a model file on golden tiles; print the result as JSON (used by install).")
    add.add_argument("model", type=Path)
    add.add_argument("--golden", type=Path, required=True)

    add = command("vectors", _vectors, "Write, or with --check verify, the test vectors of the phone apps.")
    add.add_argument("--out", type=Path, required=True)
    add.add_argument("--network", help="shipped network to take the logits from (default: the one the apps ship)")
    add.add_argument("--check", action="store_true", help="compare with what is there; write nothing")

    add = command("apps", _apps, "Convert a shipped network into the models that the phone apps come with.")
    add.add_argument("--out", type=Path, help="the folder with android and ios (default: this checkout's)")
    add.add_argument("--network", help="shipped network (default: the one of the test vectors)")

    add = command("arm", _arm, "Run a .tflite file in the real Arm wheel under qemu-user and compare with this CPU.")
    add.add_argument("model", type=Path, nargs="?", help="default: a small network converted on the spot")
    add.add_argument("--prepare", action="store_true", help="first fetch Debian arm64 and the Arm wheels (needs root)")
    add.add_argument("--cpu", default="cortex-a76", help="cortex-a72 is a Pi 4, cortex-a76 a Pi 5 (default)")
    return parser


def _count(text: str) -> int:
    """A whole number of at least 1; argparse puts its own words around the error."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of at least 1")
    return int(text)


def _keygen(options: argparse.Namespace) -> int:
    from .manifest import new_key

    print(new_key(options.out))
    print(f"Private key in {options.out}: keep it off the devices and out of git.", file=sys.stderr)
    return 0


def _publish(options: argparse.Namespace) -> int:
    from .update import publish

    try:
        metrics = json.loads(options.metrics.read_text("utf-8")) if options.metrics else None
    except ValueError as error:
        raise ValueError(f"{options.metrics}: no JSON ({error})") from None
    done = publish(
        options.channel, options.model, name=options.name, version=options.version, key=options.key,
        classes=options.classes, min_app_version=options.min_app_version, metrics=metrics,
    )  # fmt: skip
    print(f"{options.name} version {options.version}: {done.full_bytes:,} bytes whole")
    for base, size in done.delta_bytes.items():
        share = size / done.full_bytes
        print(
            f"  from version {base}: {size:,} bytes ({share:.0%})" + (": a delta saves nothing" if share >= 1 else "")
        )
    return 0


def _init(options: argparse.Namespace) -> int:
    from .update import Device, Limits

    limits = Limits(min_accuracy=options.min_accuracy, max_p50_ms=options.max_p50_ms)
    options.model_dir.mkdir(parents=True, exist_ok=True)
    Device.init(
        options.model_dir, name=options.name, channel=options.channel, keys=options.trust, golden=options.golden,
        app_version=options.app_version, limits=limits,
    )  # fmt: skip
    print(f"{options.model_dir} is set up for {options.name}; next: python -m cvprod.edge install")
    return 0


def _check(options: argparse.Namespace) -> int:
    from .update import Device

    offer = Device(options.model_dir).check()
    print(f"version {offer.version} of {offer.name}, made {offer.created}" if offer else "up to date")
    return 0


def _install(options: argparse.Namespace) -> int:
    from .update import Device

    done = Device(options.model_dir).install()
    if done is None:
        print("up to date")
    else:
        print(f"version {done.manifest.version} installed, on trial: {done.downloaded:,} of {done.full_bytes:,} bytes")
    return 0


def _rollback(options: argparse.Namespace) -> int:
    from .update import Device

    print(f"back to version {Device(options.model_dir).rollback().version}")
    return 0


def _status(options: argparse.Namespace) -> int:
    from .update import Device

    print(json.dumps(Device(options.model_dir).status(), indent=1))
    return 0


def _run(options: argparse.Namespace) -> int:
    from .journal import Journal
    from .loop import CHECKPOINT_S, Inspector
    from .sources import frames
    from .update import Device

    device = Device(options.model_dir)
    journal = Journal(options.log_dir or options.model_dir / "log", total_bytes=options.log_bytes,
                      reserve=options.disk_reserve)  # fmt: skip
    interval = CHECKPOINT_S if options.checkpoint is None else options.checkpoint
    inspector = Inspector(device, threads=options.threads, journal=journal, checkpoint_s=interval)
    inspector.stop_on_signals()
    after = "" if options.again else inspector.counters.last_frame
    report = inspector.run(frames(options.source, after=after, watch=options.watch), limit=options.limit)
    print(json.dumps(report.as_dict()))
    return 0


def _health(options: argparse.Namespace) -> int:
    import time

    from .engine import open_model, read_golden

    images, labels = read_golden(options.golden)
    try:
        predict = open_model(options.model)
        predict(images[:1])
    except Exception as error:  # a native runtime may raise anything
        why = " ".join(str(error).split())
        raise RuntimeError(f"{options.model} does not run on tiles {images.shape[1:]}: {why}") from error
    answers, times = [], []
    for tile in images:
        start = time.perf_counter()
        answers.append(predict(tile[None])[0])
        times.append(time.perf_counter() - start)
    logits = np.stack(answers)
    print(json.dumps({
        "finite": bool(np.isfinite(logits).all() and logits.ndim == 2),
        "classes": int(logits.shape[-1]),
        "accuracy": float((logits.argmax(1) == labels).mean()),
        "p50_ms": float(np.median(times) * 1e3),
    }))  # fmt: skip
    return 0


def _vectors(options: argparse.Namespace) -> int:
    from . import vectors

    if options.check:
        faults = vectors.stale(options.out, network=options.network)
        print("\n".join(faults) or f"{options.out} is fresh")
        return bool(faults)
    written = vectors.write(options.out, network=options.network)
    print(f"{written:,} bytes in {options.out}")
    return 0


def _apps(options: argparse.Namespace) -> int:
    from cvprod.repo import root

    from . import apps

    for path in apps.write(options.out or root() / "deploy" / "mobile", options.network):
        print(path)
    return 0


def _arm(options: argparse.Namespace) -> int:
    from . import arm

    if options.prepare:
        arm.prepare()
    found = arm.compare(options.model, cpu=options.cpu)
    print(json.dumps(found))
    return 0 if found["same_argmax"] == 1.0 else 1
