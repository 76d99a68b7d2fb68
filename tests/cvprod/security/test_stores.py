"""Whoever is erased is gone from every store, every journal and every temporary file; others stay."""

import gzip
import json
import os
import sqlite3
import tarfile
import time

import pytest

from cvprod.security import stores
from cvprod.security.audit import Log, pseudonym
from cvprod.serving import auth, jobs

KEY = b"k" * 32
ADA, BOB = "tablet-ada", "camera-7"
DAY = stores.DAY


@pytest.fixture
def plant(tmp_path):
    """Every store with something about two callers in it, written as the service writes."""
    auth.add(tmp_path / "keys.jsonl", ADA)
    auth.add(tmp_path / "keys.jsonl", BOB, rate=5)
    made = jobs.Store(tmp_path / "jobs")
    for owner in (ADA, BOB):
        made.create([b"picture", b"another"], owner, "once")
    half = tmp_path / "jobs" / ".0123.half"
    half.mkdir()
    (half / "job.json").write_text(json.dumps({"owner": ADA, "images": 1}))
    logs = tmp_path / "logs"
    logs.mkdir()
    lines = [json.dumps({"event": "request", "key": who, "route": "/v1/inspect"}) for who in (ADA, BOB, ADA, BOB)]
    lines.append(json.dumps({"event": "note", "detail": f"asked by {ADA}, twice"}))
    (logs / "service.log").write_text("".join(f"{line}\n" for line in lines))
    (logs / "service.log.1.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in lines[:2]).encode()))
    (logs / "records.ndjson").write_text(json.dumps({"caller": BOB}) + "\n" + json.dumps({"caller": ADA}) + "\n")
    base = sqlite3.connect(tmp_path / "mlflow.db")
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("CREATE TABLE runs (run_uuid TEXT, user_id VARCHAR(256), status TEXT)")
    base.execute("CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT)")
    base.executemany("INSERT INTO runs VALUES (?, ?, 'FINISHED')", [("a1", ADA), ("b1", BOB)])
    base.execute("INSERT INTO tags VALUES ('note', ?, 'b1')", (f"labels checked by {ADA}",))
    base.commit()
    base.close()
    (tmp_path / "backups").mkdir()
    everything = [
        stores.Keys(tmp_path / "keys.jsonl"),
        stores.Jobs(tmp_path / "jobs"),
        stores.Lines(logs),
        stores.Database(tmp_path / "mlflow.db"),
        stores.Metrics(lambda: b'cvprod_requests_total{route="/v1/inspect"} 7'),
        stores.Backups(tmp_path / "backups", tmp_path / "erased.txt", KEY),
    ]
    return tmp_path, everything, Log(tmp_path / "audit.log")


def _mentions(folder, name):
    return [path for path in folder.rglob("*") if path.is_file() and name.encode() in path.read_bytes()]


def test_before_the_name_is_everywhere(plant):
    folder, everything, _ = plant
    found = {path.name for path in stores.residue(ADA, [folder])}
    assert found >= {"keys.jsonl", "job.json", "service.log", "service.log.1.gz", "records.ndjson", "mlflow.db"}
    assert all(ADA in store.subjects() for store in everything[:4])


def test_erased_means_gone_from_every_byte_and_others_stay(plant):
    folder, everything, log = plant
    counts = stores.erase(ADA, everything, log, KEY)
    assert counts == {"keys": 1, "jobs": 2, "logs": 5, "registry": 2, "metrics": 0, "backups": 0}
    assert stores.residue(ADA, [folder]) == [] == _mentions(folder, ADA)
    assert all(store.subjects() == {BOB} for store in everything[:4])
    assert auth.read(folder / "keys.jsonl")[0].rate == 5
    (entry,) = log.entries()
    assert entry["subject"] == pseudonym(ADA, KEY) and entry["details"]["counts"] == counts


def test_erasing_twice_finds_nothing_more(plant):
    _, everything, log = plant
    stores.erase(ADA, everything, log, KEY)
    assert not any(stores.erase(ADA, everything, log, KEY).values())
    assert log.verify() == 2


def test_rows_stay_for_the_lineage(plant):
    folder, everything, log = plant
    stores.erase(ADA, everything, log, KEY)
    base = sqlite3.connect(folder / "mlflow.db")
    assert base.execute("SELECT run_uuid, user_id FROM runs ORDER BY 1").fetchall() == [("a1", "[erased]"), ("b1", BOB)]
    assert base.execute("SELECT value FROM tags").fetchall() == [("labels checked by [erased]",)]


def test_a_plain_delete_leaves_the_name_in_the_database(plant):
    """Why `Database` does more than UPDATE; and `residue` sees it, which knows nothing of SQLite."""
    folder, _, _ = plant
    base = sqlite3.connect(folder / "mlflow.db")
    base.execute("PRAGMA secure_delete = OFF")
    base.execute("DELETE FROM runs WHERE user_id = ?", (ADA,))
    base.execute("DELETE FROM tags")
    base.commit()
    base.close()
    assert [path.name for path in stores.residue(ADA, [folder]) if path.name.startswith("mlflow")]


def test_a_name_inside_another_is_left_alone(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.log").write_text("".join(json.dumps({"key": who}) + "\n" for who in ("ada", "ada-2", "canada")))
    assert stores.Lines(folder).erase("ada") == 1
    assert stores.Lines(folder).subjects() == {"ada-2", "canada"}


@pytest.mark.parametrize("hide", ["plain", "hidden", "gzip", "utf-16", "escaped", "in a file's name"])
def test_residue_finds_what_no_store_knows_of(tmp_path, hide):
    name, folder = "Zoë Müller", tmp_path / "somewhere" / "deep"
    folder.mkdir(parents=True)
    file = folder / (".tmp-3f" if hide == "hidden" else f"{name}.png" if hide == "in a file's name" else "x")
    file.write_bytes({
        "gzip": gzip.compress(name.encode()), "utf-16": b"\xff\xfe" + name.encode("utf-16-le"),
        "escaped": json.dumps({"who": name}).encode(), "in a file's name": b"",
    }.get(hide, b"abc" + name.encode()))  # fmt: skip
    assert stores.residue(name, [tmp_path]) == [file]
    assert stores.residue("Somebody Else", [tmp_path]) == []


@pytest.mark.parametrize("name", ["", "  ", "ab", "a\nb", None])
def test_a_name_that_would_match_anything_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="at least three printable"):
        stores.erase(name, [], Log(tmp_path / "a.log"), KEY)


def test_a_name_in_the_metrics_is_an_error_and_the_others_are_erased_all_the_same(plant):
    folder, everything, log = plant
    everything[4] = stores.Metrics(lambda: f'asked_total{{caller="{ADA}"}} 1'.encode())
    with pytest.raises(stores.StoreError, match=r"metrics: .*take that label out"):
        stores.erase(ADA, everything, log, KEY)
    assert stores.residue(ADA, [folder]) == []
    assert next(iter(log.entries()))["details"]["failed"] == ["metrics"]


def test_what_is_old_expires_by_its_store_and_the_rest_stays(plant):
    folder, everything, log = plant
    now = time.time()
    old = folder / "backups" / "2026-01.tar.gz"
    with tarfile.open(old, "w:gz"):
        pass
    for path in (old, folder / "logs" / "service.log.1.gz"):
        os.utime(path, (now - 31 * DAY, now - 31 * DAY))
    done = next(path for path in (folder / "jobs").iterdir() if not path.name.startswith("."))
    os.utime(done, (now - 2 * DAY, now - 2 * DAY))
    counts = stores.expire(everything, log, now)
    assert counts == {"keys": 0, "jobs": 1, "logs": 1, "registry": 0, "metrics": 0, "backups": 1}
    assert not old.exists() and not done.exists() and (folder / "logs" / "service.log").exists()


def test_a_restore_erases_again_who_was_erased_since(plant, tmp_path_factory):
    folder, everything, log = plant
    archive = folder / "backups" / "today.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder / "keys.jsonl", "keys.jsonl")
        packed.add(folder / "jobs", "jobs")
    stores.erase(ADA, everything, log, KEY)
    target = tmp_path_factory.mktemp("restored")
    back = [stores.Keys(target / "keys.jsonl"), stores.Jobs(target / "jobs")]
    assert everything[5].restore(archive, target, back) == 3
    assert stores.residue(ADA, [target]) == [] and back[0].subjects() == {BOB}


def test_a_backup_that_writes_outside_its_target_is_refused(tmp_path):
    archive = tmp_path / "evil.tar"
    (tmp_path / "x").write_text("x")
    with tarfile.open(archive, "w") as packed:
        packed.add(tmp_path / "x", "../escaped")
    backups = stores.Backups(tmp_path, tmp_path / "erased.txt", KEY)
    with pytest.raises(tarfile.OutsideDestinationError):
        backups.restore(archive, tmp_path / "target", [])
    assert not (tmp_path / "escaped").exists()


def test_retention_of_jobs_is_the_service_s_own():
    assert stores.Jobs.days * DAY == jobs.KEPT_SECONDS
