"""Batches that nobody waits for: POST /v1/jobs takes pictures, answers 202 at once, and works when the line is quiet.

A job is a folder on disk, so that it survives the worker that took it:

    jobs/ID/job.json        when, how many, whose; written last, by a rename: without it there is no job
    jobs/ID/00000           a picture
    jobs/ID/results.ndjson  a line for each picture that is done, in order
    jobs/ID/done            there is nothing left to do

All of it is read and written in threads: the disk may be slow, or far away, and the event loop answers cameras.
Every worker looks for jobs that nobody holds (flock) and goes on behind the last whole line of results. Interactive
requests come first: a picture of a job is only taken up while the queue is empty. Services behind one balancer share
the folder (``--jobs``): whichever is asked knows every job, and what one leaves undone another finishes.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from . import suspect
from .context import Context
from .errors import ServiceError
from .images import without_metadata
from .logs import log
from .verdict import encode, image_result, not_an_image

MAX_IMAGES = 1000
MAX_BYTES = 64 * 2**20
MAX_JOBS = 200
RESERVE = 16 * 2**20  # bytes that jobs leave free on their disk
BLOCK = 4096  # that a file takes at least
KEPT_SECONDS = 24 * 3600.0
DONE = "done"


class Store:
    """Jobs on disk, shared by all workers of a service, and by all services that are given the same folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, job: str, owner: str = "") -> Path:
        """The folder of a job. Raises ServiceError (not-found), also for somebody else's."""
        path = self.folder / job
        try:  # the owner alone: the results may be long
            known = document_of(path)["owner"] == owner
        except FileNotFoundError:
            known = False
        if not known:
            raise missing()
        return path

    def owned(self, job: str, owner: str) -> dict[str, Any]:
        """As `describe`. Raises ServiceError (not-found), also for somebody else's."""
        self.path(job, owner)
        try:
            return self.describe(job)
        except FileNotFoundError:  # deleted between the two
            raise missing() from None

    def describe(self, job: str) -> dict[str, Any]:
        """Fields of job.json and how far it is. Raises FileNotFoundError."""
        path = self.folder / job
        document = document_of(path)
        done = document["images"] if (path / DONE).exists() else whole_lines(path / "results.ndjson")
        status = (
            "cancelled"
            if (path / "cancelled").exists()
            else "done"
            if done == document["images"]
            else "running"
            if done
            else "queued"
        )
        return {**document, "id": job, "done": done, "status": status}

    def create(self, pictures: list[bytes], owner: str, key: str | None) -> tuple[str, bool]:
        """Store a job; returns its id and whether it is new. Raises ServiceError (conflict, overloaded)."""
        digest = hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in pictures)).hexdigest()
        job = hashlib.sha256(f"{owner}\n{key}".encode()).hexdigest()[:32] if key else secrets.token_hex(16)
        final = self.folder / job
        if self._made(final, digest):
            return job, False
        self.expire()
        if sum(1 for _ in self.folder.glob("*/job.json")) >= MAX_JOBS:
            raise ServiceError(
                "overloaded", f"{MAX_JOBS} jobs are kept already; delete some.", headers={"Retry-After": "60"}
            )
        left = shutil.disk_usage(self.folder).free - sum(map(len, pictures)) - BLOCK * len(pictures)
        if left < RESERVE:  # the metrics and the model's copy may lie on the same disk, and /tmp in memory
            raise ServiceError("overloaded", "The disk is full: no job now.", headers={"Retry-After": "30"})
        scratch = self._scratch(job)
        try:
            scratch.mkdir()
            for i, picture in enumerate(pictures):
                (scratch / f"{i:05d}").write_bytes(without_metadata(picture))
            document = {"created": time.time(), "images": len(pictures), "owner": owner, "sha256": digest}
            (scratch / "job.json").write_text(json.dumps(document))
            try:
                scratch.rename(final)
            except OSError:
                if self._made(final, digest):  # the same key at the same moment: one of them was first
                    return job, False
                self._clear(job)
                scratch.rename(final)
        except OSError as error:
            raise ServiceError("overloaded", "The job cannot be stored now.", headers={"Retry-After": "30"}) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return job, True

    @staticmethod
    def _made(final: Path, digest: str) -> bool:
        """Whether there is such a job already. Raises ServiceError (conflict) if it is one of other pictures."""
        try:
            known = document_of(final)["sha256"]
        except FileNotFoundError:
            return False
        if known != digest:
            raise ServiceError("conflict", "This Idempotency-Key was used with other pictures.")
        return True

    def _clear(self, job: str) -> None:
        """Out of the way with a folder that is no job: what is left where a box lost its power while one expired."""
        scratch = self._scratch(job)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / job).rename(scratch)
        shutil.rmtree(scratch, ignore_errors=True)

    def results(self, job: str, owner: str) -> bytes:
        """Whole lines of a job's results. Raises ServiceError (not-found)."""
        path = self.path(job, owner)
        try:
            data = (path / "results.ndjson").read_bytes()
        except FileNotFoundError:
            self.path(job, owner)  # not begun yet, or deleted just now
            data = b""
        return data[: data.rfind(b"\n") + 1]

    def forget(self, job: str, owner: str) -> None:
        """Delete a job; who works on it stops. Raises ServiceError (not-found)."""
        path, scratch = self.path(job, owner), self._scratch(job)
        with contextlib.suppress(FileNotFoundError):  # somebody else was quicker
            (path / "cancelled").touch()
            path.rename(scratch)  # at once: nobody writes to what is half deleted
        shutil.rmtree(scratch, ignore_errors=True)

    def _scratch(self, job: str) -> Path:
        """A new name for a folder that is not a job yet, or no longer."""
        return self.folder / f".{job}.{secrets.token_hex(4)}"

    def expire(self) -> None:
        """Forget jobs that are older than a day, and what was left half-written; never one that is still to be done.

        The clock on the wall may be wrong by years, on a box that has just found its time server.
        """
        limit = time.time() - KEPT_SECONDS
        for path in self.folder.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < limit and not self._unfinished(path.name):
                    shutil.rmtree(path)

    def _unfinished(self, job: str) -> bool:
        try:
            return self.describe(job)["status"] in ("queued", "running")
        except (OSError, ValueError):
            return False

    def open_jobs(self) -> list[str]:
        """Ids of jobs that are not done, oldest first. Those that are done, most of them, cost no more than a look."""
        found = []
        for path in self.folder.glob("[!.]*"):
            with contextlib.suppress(OSError, ValueError):
                if (path / DONE).exists():
                    continue
                job = self.describe(path.name)
                if job["status"] in ("queued", "running"):
                    found.append((job["created"], job["id"]))
                elif job["status"] == "done":  # who did it died before it could say so
                    (path / DONE).touch()
        return [job for _, job in sorted(found)]


def missing() -> ServiceError:
    """What everybody is told of a job that is not there, or not theirs."""
    return ServiceError("not-found", "There is no such job, or it has expired.")


def document_of(path: Path) -> dict[str, Any]:
    """What a job's job.json says. Raises FileNotFoundError, also where it is there but cut short or empty: a box that
    lost its power kept the name and not the bytes, and there never was such a job."""
    try:
        found = json.loads((path / "job.json").read_bytes())
        if isinstance(found, dict) and found.keys() >= {"created", "images", "owner", "sha256"}:
            return found
    except (ValueError, RecursionError):
        pass
    raise FileNotFoundError(path / "job.json")


def whole_lines(path: Path) -> int:
    """Lines that end with a newline; the last, half-written one does not count."""
    try:
        return path.read_bytes().count(b"\n")
    except OSError:
        return 0


class Held:
    """A job's folder by its descriptor, and not by its path.

    A job that is deleted and made again under its Idempotency-Key has the same path, but is another folder: who still
    works on the first must neither read the other's pictures nor say that it is done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def open(self, name: str, mode: str = "rb") -> BinaryIO:
        """A file of this folder, wherever that is now."""

        def beside(name: str, flags: int) -> int:
            return os.open(name, flags, 0o666, dir_fd=self._folder)

        return cast(BinaryIO, open(name, mode, opener=beside))

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        try:
            os.stat(name, dir_fd=self._folder)
        except FileNotFoundError:
            return False
        return True

    def cancelled(self) -> bool:
        """Whether the job has been deleted: it is marked, or its path leads elsewhere or nowhere."""
        try:
            same = os.path.samestat(os.fstat(self._folder), self._path.stat())
        except FileNotFoundError:
            return True
        return not same or (self._path / "cancelled").exists()


class Runner:
    """Works on the store's jobs in this worker's event loop, behind everybody else."""

    def __init__(self, app: Context, store: Store) -> None:
        self.app, self.store = app, store

    async def run(self) -> None:
        """Until cancelled; at once where others do the work."""
        while self.app.settings.work_on_jobs:
            try:
                for job in await asyncio.to_thread(self.store.open_jobs):
                    try:
                        await self._work(job)
                    except Exception as error:  # a full disk, a lost picture: this job later, the others now
                        if not isinstance(error, FileNotFoundError) or (self.store.folder / job).exists():
                            log.exception("jobs", extra={"event": "jobs-fault"})  # its owner has not just deleted it
            except Exception:  # a deleted folder: try again later
                log.exception("jobs", extra={"event": "jobs-fault"})
            await asyncio.sleep(0.3)

    async def _work(self, job: str) -> None:
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(await asyncio.to_thread(Held, self.store.folder / job))
            taken = await asyncio.to_thread(self._take, held, stack)
            if taken is None:
                return  # another worker has it
            results, done, images, again = taken
            for i in range(done, images):
                data = await asyncio.to_thread(self._picture, held, i)
                if data is None:
                    return
                # Who had the job before may have died of this very picture.
                suspect.second_try.set(again and i == done)
                line = await self._look(data, i) + b"\n"
                await asyncio.to_thread(self._write, results, line)
            if await asyncio.to_thread(self._finish, held):
                log.info("job", extra={"event": "job-done", "images": images})

    @staticmethod
    def _take(held: Held, stack: contextlib.ExitStack) -> tuple[BinaryIO, int, int, bool] | None:
        """The file of results, ready to be written on, how many there are and shall be, and whether somebody may have
        begun before; None if the job is taken."""
        again = held.has("lock")
        lock = stack.enter_context(held.open("lock", "wb"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return None
        results = stack.enter_context(held.open("results.ndjson", "ab+"))
        results.seek(0)
        text = results.read()
        results.truncate(text.rfind(b"\n") + 1)
        with held.open("job.json") as file:
            return results, text.count(b"\n"), json.loads(file.read())["images"], again

    @staticmethod
    def _picture(held: Held, index: int) -> bytes | None:
        """A picture of a job; None if it has been cancelled."""
        if held.cancelled():
            return None
        with held.open(f"{index:05d}") as file:
            return file.read()

    @staticmethod
    def _finish(held: Held) -> bool:
        """Say that there is nothing left to do; False if the job has been cancelled."""
        if held.cancelled():
            return False
        held.open(DONE, "wb").close()
        return True

    @staticmethod
    def _write(results: BinaryIO, line: bytes) -> None:
        results.write(line)
        results.flush()

    async def _look(self, data: bytes, index: int) -> bytes:
        """A line of results."""
        while True:
            while self.app.engine.waiting:  # somebody is waiting for an answer: a job is not
                await asyncio.sleep(0.005)
            received = time.perf_counter()
            try:
                result = await self.app.engine.inspect((data,))
            except ServiceError as problem:
                if problem.slug == "draining":
                    raise asyncio.CancelledError from None
                if problem.slug == "worker-killed":
                    return encode(not_an_image(index, problem.document()))
                await asyncio.sleep(0.05)
                continue
            (verdict,) = self.app.judged(result, route="/v1/jobs", received=received)
            row = image_result(index, verdict) if verdict else not_an_image(index, result.faults[0].document())
            return encode({**msgspec.to_builtins(row), "model_version": result.model.version})
