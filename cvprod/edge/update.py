"""Model updates over the air: publish on one side; check, install, confirm and roll back on the other.

The device keeps two slots. An update is written beside them, verified, tried on golden tiles in a process of its own,
moved to the idle slot, and only then one file, `state.json`, is replaced: that rename is the switch. Whatever goes
wrong before it leaves the running model as it was; what goes wrong after it is undone by going back to the other slot,
which is still whole. So while a model is on trial nothing is installed: the idle slot holds the one to go back to.

    root/config.json    name, app_version, channel and the limits of the health check
    root/trusted.keys   public keys, base64, one a line
    root/golden.npz     tiles and labels that every model must get right (they belong to the device, not to the update)
    root/slots/a, b     model files, each with the signed manifest they came with; "barred" marks what was rolled back
    root/state.json     which slot is active, on trial, refused

The scheme is that of A/B system updates (Android, RAUC, U-Boot's boot count), cut down to one model.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone  # not datetime.UTC: a board's Python may be 3.10
from pathlib import Path
from typing import Any

import numpy as np

from cvprod.files import sync_folder, write_atomic

from . import delta as deltas
from .engine import read_golden
from .manifest import (
    MANIFEST,
    MAX_MANIFEST,
    SIGNATURE,
    DeltaFile,
    Manifest,
    ModelFile,
    UpdateError,
    check_public_keys,
    load_key,
    parse,
    parse_version,
    sha256,
    sign,
    verify,
)

SLOTS = ("a", "b")
INCOMING, BARRED = "incoming", "barred"
MAX_TRIAL_STARTS = 3  # a new model whose process dies this often before it is confirmed is rolled back
KEPT_BASES = 3  # deltas are made from this many earlier versions
WORTH = 0.9  # a delta that is not at least a tenth smaller than the file is not published


# --- the publisher's side ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """What `publish` put into the channel, in bytes: the whole, and what the update from each earlier version takes."""

    manifest: Manifest
    full_bytes: int
    delta_bytes: dict[int, int]


def publish(
    channel: Path,
    model: Path,
    *,
    name: str,
    version: int,
    key: Path,
    classes: Sequence[str],
    min_app_version: str = "1.0.0",
    metrics: dict[str, float] | None = None,
) -> Published:
    """Add a version to a channel and offer it.

    Args:
        channel: folder that a web server serves; made where missing.
        model: one file (.tflite, .onnx, .pte), or a folder (.mlpackage) whose files keep their relative paths.
        name, version: see `Manifest`; the version must be higher than what the channel offers.
        key: the private key's file.
        classes: names of the logits, in order.
        metrics: what was measured before publishing.

    The manifest and its signature are written last, so that a device never sees an offer whose files are not there.
    Raises UpdateError.
    """
    private = load_key(key)
    sources = _sources(Path(model))
    channel = Path(channel)
    earlier = _versions(channel)
    if earlier and version <= max(earlier):
        raise UpdateError(f"the channel already offers version {max(earlier)}; publish a higher one, not {version}")
    folder = channel / f"v{version}"
    folder.mkdir(parents=True, exist_ok=True)  # what a publisher left that was stopped half-way is nobody's offer
    bases = {v: earlier[v] for v in sorted(earlier)[-KEPT_BASES:] if earlier[v].name == name}
    files, delta_bytes = [], dict.fromkeys(bases, 0)
    for install_as, content in sources.items():
        path = f"v{version}/{install_as}"
        (channel / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(channel / path, content)
        made = []
        for base_version, base in bases.items():
            old = next((file for file in base.files if file.install_as == install_as), None)
            patch = deltas.make((channel / old.path).read_bytes(), content) if old else None
            if old is None or patch is None or len(patch.data) > WORTH * len(content):
                delta_bytes[base_version] += len(content)
                continue
            patch_path = f"{path}.from-{old.sha256[:8]}.delta"
            write_atomic(channel / patch_path, patch.data)
            made.append(DeltaFile(patch_path, len(patch.data), sha256(patch.data), old.sha256, patch.stride))
            delta_bytes[base_version] += len(patch.data)
        files.append(ModelFile(path, install_as, len(content), sha256(content), tuple(made)))
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")  # noqa: UP017
    manifest = Manifest(name, version, tuple(files), min_app_version, created, tuple(classes), dict(metrics or {}))
    data = manifest.to_bytes()
    parse(data)  # what no device would take is not published
    for where in (folder, channel):
        write_atomic(where / SIGNATURE, sign(data, private))
        write_atomic(where / MANIFEST, data)
    return Published(manifest, sum(file.size for file in files), delta_bytes)


def _sources(model: Path) -> dict[str, bytes]:
    if model.is_file():
        if not model.stat().st_size:
            raise UpdateError(f"{model}: the file is empty; no device could run it")
        return {f"model{model.suffix}": model.read_bytes()}
    found = {p.relative_to(model).as_posix(): p.read_bytes() for p in sorted(model.rglob("*")) if p.is_file()}
    if not found:
        raise UpdateError(f"{model}: no such model file or folder")
    return {f"model{model.suffix}/{name}": content for name, content in found.items()}


def _versions(channel: Path) -> dict[int, Manifest]:
    found = [parse(path.read_bytes()) for path in channel.glob(f"v*/{MANIFEST}")]
    return {manifest.version: manifest for manifest in found}


# --- the device's side -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """The health check: the share of golden tiles a model must get right, and its median latency in ms at most."""

    min_accuracy: float = 0.9
    max_p50_ms: float = 50.0
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_accuracy <= 1:
            raise UpdateError(f"the least accuracy is a share of 0 to 1, not {self.min_accuracy:g}")
        if not self.max_p50_ms > 0:
            raise UpdateError(f"the longest median latency is a number of ms above 0, not {self.max_p50_ms:g}")


@dataclass(frozen=True)
class State:
    """What the device remembers. `trial_starts` is None for a confirmed model, else how often it was started."""

    active: str | None = None
    previous: str | None = None
    highest: int = 0
    refused: tuple[int, ...] = ()
    trial_starts: int | None = None


@dataclass(frozen=True)
class Installed:
    """What `install` did: the new manifest and the bytes that came over the link."""

    manifest: Manifest
    downloaded: int
    full_bytes: int
    health: dict[str, Any] = field(default_factory=dict)


class Device:
    """One device's models. Every method raises UpdateError with a reason that an operator can act on."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        try:
            config = json.loads((self.root / "config.json").read_text("utf-8"))
            self.name, self.app_version, self.channel = config["name"], config["app_version"], config["channel"]
            self.limits = Limits(**config.get("health", {}))
        except FileNotFoundError:
            raise UpdateError(
                f"{self.root}: no device here yet; set one up with `python -m cvprod.edge init`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise UpdateError(f"{self.root / 'config.json'}: {error!r}; write it again with `init`") from error

    @classmethod
    def init(
        cls, root: Path, *, name: str, channel: str, keys: Sequence[str], golden: Path | None = None,
        app_version: str = "1.0.0", limits: Limits | None = None,
    ) -> Device:  # fmt: skip
        """Set up an empty device; an existing one keeps its slots and state and gets the new settings.

        golden: .npz with `images` (n, 1, 96, 96) uint8 and `labels` (n,); made by the book's generator when None.
        """
        root = Path(root)
        parse_version(app_version)
        check_public_keys(keys)
        if golden is not None:
            if not Path(golden).is_file():
                raise UpdateError(
                    f"{golden}: no golden tiles there; a device without them could not refuse a bad model"
                )
            try:
                read_golden(Path(golden))
            except ValueError as error:
                raise UpdateError(str(error)) from None
        for slot in SLOTS:
            (root / "slots" / slot).mkdir(parents=True, exist_ok=True)
        config = {"name": name, "channel": channel, "app_version": app_version, "health": asdict(limits or Limits())}
        write_atomic(root / "golden.npz", golden_tiles() if golden is None else Path(golden).read_bytes())
        write_atomic(root / "trusted.keys", ("\n".join(keys) + "\n").encode())
        write_atomic(root / "config.json", (json.dumps(config, indent=1) + "\n").encode())
        return cls(root)

    # state

    @property
    def state(self) -> State:
        """The state on disk; a damaged file counts as none, and the slots say what there is."""
        path = self.root / "state.json"
        try:
            document = json.loads(path.read_text("utf-8"))
            return State(**{**document, "refused": tuple(document["refused"])})
        except FileNotFoundError:
            return State()
        except (ValueError, TypeError, KeyError):
            return self._rebuilt()

    def _rebuilt(self) -> State:
        whole = {slot: manifest for slot in SLOTS if (manifest := self._intact(slot)) is not None}
        refused = tuple(m.version for slot, m in whole.items() if (self.slot(slot) / BARRED).exists())
        found = sorted((m.version, slot) for slot, m in whole.items() if m.version not in refused)
        highest = max((m.version for m in whole.values()), default=0)
        if len(found) < 2:
            return State(found[0][1] if found else None, None, highest, refused)
        return State(found[1][1], found[0][1], highest, refused, trial_starts=0)  # whether it was proven is not known

    def _save(self, state: State) -> None:
        write_atomic(self.root / "state.json", (json.dumps(asdict(state), indent=1) + "\n").encode())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One change at a time, across processes; the lock goes when the process does."""
        import fcntl

        with (self.root / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UpdateError("another install or rollback is running on this device; try again later") from None
            yield

    def slot(self, name: str) -> Path:
        """The folder of slot "a" or "b"."""
        return self.root / "slots" / name

    def trusted(self) -> list[str]:
        """The public keys that may sign updates for this device."""
        lines = (self.root / "trusted.keys").read_text().splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def _intact(self, slot: str) -> Manifest | None:
        """The slot's manifest if its signature and every file's hash hold, else None (bit rot, a torn write)."""
        folder = self.slot(slot)
        try:
            data = (folder / MANIFEST).read_bytes()
            verify(data, (folder / SIGNATURE).read_bytes(), self.trusted())
            manifest = parse(data)
            whole = all(sha256((folder / file.install_as).read_bytes()) == file.sha256 for file in manifest.files)
        except (OSError, UpdateError):
            return None
        return manifest if whole else None

    def active(self) -> tuple[Path, Manifest]:
        """The model to run: path and manifest. Falls back to the other slot when the active one is damaged."""
        state = self.state
        for slot in (state.active, state.previous):
            if slot is None:
                continue
            manifest = self._intact(slot)
            if manifest is None:
                continue
            if slot != state.active:
                with contextlib.suppress(OSError):  # a full disk: decide the same again next time
                    self._save(replace(state, active=slot, previous=None, trial_starts=None))
            return model_path(self.slot(slot), manifest), manifest
        raise UpdateError(f"{self.root}: no intact model in any slot; run `python -m cvprod.edge install`")

    def status(self) -> dict[str, Any]:
        """What an operator wants to see: versions and integrity of both slots, trial, refused versions."""
        state = self.state
        slots = {}
        for slot in SLOTS:
            manifest = self._intact(slot)
            empty = not (self.slot(slot) / MANIFEST).exists()
            slots[slot] = f"version {manifest.version}" if manifest else "empty" if empty else "DAMAGED"
        return {"name": self.name, "channel": self.channel, **asdict(state), "slots": slots}

    # update

    def check(self) -> Manifest | None:
        """The offered manifest if it is acceptable and new; None when the device already has it."""
        manifest, _, _ = self._offer()
        return manifest

    def _offer(self) -> tuple[Manifest | None, bytes, bytes]:
        data, signature = fetch(self.channel, MANIFEST, MAX_MANIFEST), fetch(self.channel, SIGNATURE, 1024)
        verify(data, signature, self.trusted())  # before a single byte of it is interpreted
        manifest, state = parse(data), self.state
        if manifest.name != self.name:
            raise UpdateError(f"the channel offers {manifest.name!r}; this device runs {self.name!r}")
        if parse_version(manifest.min_app_version) > parse_version(self.app_version):
            raise UpdateError(
                f"version {manifest.version} needs app {manifest.min_app_version}, this is {self.app_version}: "
                "update the app first"
            )
        if manifest.version in state.refused:
            raise UpdateError(f"version {manifest.version} was rolled back here; only a higher version will be tried")
        if manifest.version < state.highest:
            raise UpdateError(
                f"the channel offers version {manifest.version}, older than {state.highest}: a downgrade is refused "
                "(an attacker may replay an old, validly signed manifest); publish the old model as a new version"
            )
        running = self._intact(state.active) if state.active else None
        already = running is not None and running.version == manifest.version
        return (None if already else manifest), data, signature

    def install(self) -> Installed | None:
        """Fetch, verify, try and switch; None when there is nothing new.

        The new model starts on trial: see `started` and `confirm`. While another one is on trial, nothing is installed.
        """
        with self._locked():
            manifest, data, signature = self._offer()
            if manifest is None:
                return None
            state = self.state
            if state.trial_starts is not None and state.previous and (earlier := self._intact(state.previous)):
                raise UpdateError(
                    f"version {state.highest} is on trial, and version {earlier.version} is what it would go back to: "
                    f"version {manifest.version} has to wait until the trial ends, "
                    "or for `python -m cvprod.edge rollback`"
                )
            target = SLOTS[1] if state.active == SLOTS[0] else SLOTS[0]
            folder = self.slot(INCOMING)
            try:
                downloaded = self._fill(folder, manifest)
                write_atomic(folder / SIGNATURE, signature)
                write_atomic(folder / MANIFEST, data)
                health = health_check(model_path(folder, manifest), self.root / "golden.npz", self.limits)
                if health["ok"] and health.get("classes") not in (None, len(manifest.classes)):
                    names = len(manifest.classes)
                    why = f"it gives {health['classes']} logits where its manifest names {names} classes"
                    health = {**health, "ok": False, "why": why}
                if not health["ok"]:
                    self._save(replace(state, refused=(*state.refused, manifest.version)))
                    raise UpdateError(f"version {manifest.version} failed its health check: {health['why']}; refused")
                self._save(replace(state, previous=None))  # from here on there is nothing to go back to
                shutil.rmtree(self.slot(target), ignore_errors=True)
                folder.rename(self.slot(target))
                sync_folder(folder.parent)
            except OSError as error:
                raise UpdateError(
                    f"version {manifest.version} could not be written ({error}); nothing changed"
                ) from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            self._save(State(target, state.active, manifest.version, state.refused, trial_starts=0))
            return Installed(manifest, downloaded, sum(file.size for file in manifest.files), health)

    def _fill(self, folder: Path, manifest: Manifest) -> int:
        """Write the model's files into an empty folder; returns how many bytes were fetched."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        needed = sum(file.size for file in manifest.files)
        if (free := shutil.disk_usage(folder).free) < 2 * needed:
            raise UpdateError(f"{needed:,} bytes to install and {free:,} free: free twice the size and try again")
        fetched = 0
        for file in manifest.files:
            content, taken = self._content(file)
            fetched += taken
            path = folder / file.install_as
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, content)
        sync_folder(folder)
        return fetched

    def _content(self, file: ModelFile) -> tuple[bytes, int]:
        """The file's verified bytes, by delta where one fits and works, else whole; and the bytes fetched."""
        wasted = 0
        old = self._current(file.install_as)
        patch = next((d for d in file.deltas if old is not None and d.base_sha256 == sha256(old)), None)
        if patch is not None and old is not None and patch.algorithm == deltas.ALGORITHM:
            with contextlib.suppress(UpdateError, deltas.DeltaError):  # a bad delta costs time, never the update
                data = fetch(self.channel, patch.path, patch.size)
                wasted = len(data)
                if sha256(data) == patch.sha256:
                    content = deltas.apply(old, deltas.Delta(data, patch.stride, file.size))
                    if sha256(content) == file.sha256:
                        return content, wasted
        content = fetch(self.channel, file.path, file.size)
        if len(content) != file.size or sha256(content) != file.sha256:
            raise UpdateError(
                f"{file.path} is not the file that was signed (SHA-256 differs): refused, nothing changed"
            )
        return content, wasted + len(content)

    def _current(self, install_as: str) -> bytes | None:
        active = self.state.active
        path = self.slot(active) / install_as if active else None
        return path.read_bytes() if path is not None and path.is_file() else None

    # trial and rollback

    def started(self) -> bool:
        """Count a start of the program; True if that used up a trial and the old model is back."""
        with self._locked():
            state = self.state
            if state.trial_starts is None:
                return False
            if state.trial_starts >= MAX_TRIAL_STARTS and state.previous is not None:
                self._back(state)
                return True
            self._save(replace(state, trial_starts=state.trial_starts + 1))
            return False

    def confirm(self, version: int | None = None) -> None:
        """The active model has proven itself: its trial ends. With a version, only if that is the active one."""
        with self._locked():
            state = self.state
            if state.trial_starts is None:
                return  # before the model's files are read and hashed: the inspection loop waits for this
            manifest = self._intact(state.active) if state.active else None
            if version in (None, manifest and manifest.version):
                self._save(replace(state, trial_starts=None))

    def rollback(self) -> Manifest:
        """Go back to the other slot and never try the abandoned version again; returns what runs now."""
        with self._locked():
            return self._back(self.state)

    def _back(self, state: State) -> Manifest:
        if state.previous is None or (manifest := self._intact(state.previous)) is None:
            raise UpdateError("no intact earlier model to go back to; publish and install a good version")
        bad = self._intact(state.active) if state.active else None
        refused = (*state.refused, bad.version) if bad else state.refused
        self._save(State(state.previous, None, state.highest, refused))
        if bad:
            with contextlib.suppress(OSError):  # only needed where state.json is lost as well
                write_atomic(self.slot(state.active) / BARRED, b"")
        return manifest


def golden_tiles(n: int = 28, seed: int = 404) -> bytes:
    """An .npz with n generated tiles of nominal conditions, classes in turn: what no sound model gets wrong."""
    from cvprod.surface import make_set

    tiles = make_set(n, seed, conditions="nominal")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=tiles.images, labels=tiles.labels)
    return buffer.getvalue()


def model_path(slot: Path, manifest: Manifest) -> Path:
    """What the runtime opens: the only file, or the folder that all files share."""
    first = Path(manifest.files[0].install_as)
    return slot / (first if len(manifest.files) == 1 else first.parts[0])


def fetch(channel: str, name: str, limit: int, *, timeout: float = 30.0) -> bytes:
    """Read one file of a channel (a folder or an http(s) address), never more than `limit` bytes.

    Raises UpdateError: not there, not reachable, or longer than it may be.
    """
    try:
        if channel.startswith(("http://", "https://")):
            address = f"{channel.rstrip('/')}/{name}"
            with urllib.request.urlopen(address, timeout=timeout) as answer:
                data = answer.read(limit + 1)
        else:
            with (Path(channel) / name).open("rb") as file:
                data = file.read(limit + 1)
    except (OSError, urllib.error.URLError) as error:
        raise UpdateError(f"{name} could not be fetched from {channel} ({error}); the running model stays") from error
    if len(data) > limit:
        raise UpdateError(f"{name} is longer than the {limit:,} bytes that were signed: refused, nothing changed")
    return data


def health_check(model: Path, golden: Path, limits: Limits) -> dict[str, Any]:
    """Try a model on the golden tiles, in a process of its own: a file that crashes its runtime must not take us along.

    Returns {"ok": bool, "why": str, "accuracy": share, "classes": number of
    logits, "p50_ms": float}.
    """
    command = [sys.executable, "-m", "cvprod.edge", "health", str(model), "--golden", str(golden)]
    try:
        child = subprocess.run(command, capture_output=True, timeout=limits.timeout_s, check=False, env=_child_env())
    except subprocess.TimeoutExpired:
        return {"ok": False, "why": f"it gave no answer within {limits.timeout_s:g} s"}
    if child.returncode != 0:
        words = child.stderr.decode(errors="replace").strip().splitlines()
        return {"ok": False, "why": f"it cannot be run ({words[-1] if words else f'exit {child.returncode}'})"}
    found = json.loads(child.stdout.splitlines()[-1])
    if not found["finite"]:
        why = "some of its logits are not numbers"
    elif found["accuracy"] < limits.min_accuracy:
        why = f"{found['accuracy']:.0%} of the golden tiles right, {limits.min_accuracy:.0%} needed"
    elif found["p50_ms"] > limits.max_p50_ms:
        why = f"{found['p50_ms']:.1f} ms a tile, {limits.max_p50_ms:g} allowed"
    else:
        why = ""
    return {"ok": not why, "why": why, **found}


def _child_env() -> dict[str, str]:
    """The child finds this package however the parent found it; and it is no business of the watchdog's."""
    here = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")}
    return {**kept, "PYTHONPATH": path}
