"""What a student's kernel may see, write and use: Linux namespaces where the system gives them, limits in any case.

`unshare` needs no privileges on most Linux systems. A first namespace lays an empty folder over what nobody may read
and makes the course and the Python environment read-only; a second one, without rights over the first, runs the
kernel, which therefore cannot undo it. There is no network in it: the kernel is reached through files (ZMQ over
Unix sockets).
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Bytes of private memory of a process, and of all that a notebook runs; bytes of the largest file it may write.
MEMORY_BYTES, FILE_BYTES = 4 << 30, 1 << 30
_PROBE_SECONDS = 30


@dataclass(frozen=True)
class Sandbox:
    """What to keep from a kernel. Paths that are not there are left out."""

    hidden: tuple[Path, ...] = ()  # folders that look empty
    read_only: tuple[Path, ...] = ()
    memory_bytes: int = MEMORY_BYTES
    network: bool = False  # False: none, where the system allows

    def command(self, own: Path) -> list[str]:
        """What to put in front of the kernel's command; `own` is the folder that stays its own to write."""
        if os.name != "posix":
            return []
        limits = f"ulimit -d {self.memory_bytes >> 10}; ulimit -f {FILE_BYTES >> 9}; ulimit -c 0"
        script = f"{{ {limits}; }} 2>/dev/null; " + 'exec "$@"'
        within = ["sh", "-c", script, "kernel"]
        if refused():
            return within
        steps = ["set -e", "cd " + shlex.quote(str(own))]
        for path in _there(self.read_only):
            place = shlex.quote(str(path))
            steps += [f"mount --rbind {place} {place}", f"mount -o remount,bind,ro{_flags(path)} {place}"]
        needed = (Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[1], own)
        for path in _there(self.hidden, needed):
            steps.append(f"mount -t tmpfs -o ro,size=4k,mode=555 none {shlex.quote(str(path))}")
        # Other kernels' folders lie beside this one: only its own is left there.
        place, beside = shlex.quote(str(own)), shlex.quote(str(own.parent))
        steps += [f"mount -t tmpfs -o size=4k none {beside}", f"mkdir -p {place}"]
        steps += [f"mount --no-canonicalize --bind /proc/self/cwd {place}", f"cd {place}/work", 'exec "$@"']
        network = [] if self.network else ["--net"]
        outer = ["unshare", "--user", "--map-root-user", "--mount", *network, "sh", "-c", "\n".join(steps), "mounts"]
        inner = ["unshare", "--user", "--mount", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
        return [*outer, *inner, *within]


def _there(paths: Sequence[Path], needed: Sequence[Path] = ()) -> list[Path]:
    """Those that are folders, and hold nothing that the kernel needs."""
    needed = [path.resolve() for path in needed]
    found = dict.fromkeys(path.resolve() for path in paths if path.is_dir())
    return [path for path in found if not any(one.is_relative_to(path) for one in needed)]


def _flags(path: Path) -> str:
    """The mount options of `path` that an unprivileged remount has to keep."""
    if not hasattr(os, "statvfs"):
        return ""
    now, names = os.statvfs(path).f_flag, {"nosuid": os.ST_NOSUID, "nodev": 4, "noexec": 8, "noatime": 1024}
    return "".join(f",{name}" for name, flag in names.items() if now & flag)


@functools.cache
def refused() -> str:
    """Why this system gives no namespaces; "" where it does."""
    if not sys.platform.startswith("linux"):
        return f"{sys.platform} has no namespaces"
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return "the programs unshare and mount (util-linux) are not installed"
    trial = ["unshare", "--user", "--map-root-user", "--mount", "--net", "sh", "-c"]
    trial += ["mount -t tmpfs -o ro,size=4k none /tmp && exec unshare --user --mount --map-user=1 --map-group=1 true"]
    try:
        done = subprocess.run(trial, capture_output=True, text=True, timeout=_PROBE_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unshare does not work ({error})"
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return f"unshare is not allowed ({said[-1]})"
    return ""
