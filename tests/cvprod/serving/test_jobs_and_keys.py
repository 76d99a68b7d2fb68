"""Jobs that are deleted, made again or half gone; keys, lengths and callers that are mistyped, endless or many."""

import asyncio
import hashlib
import json
import math
import subprocess
import sys
from types import SimpleNamespace

import grpc
import pytest

from cvprod.serving import __main__ as command
from cvprod.serving import auth
from cvprod.serving.api.grpc_server import Service, address
from cvprod.serving.errors import ServiceError
from cvprod.serving.jobs import Runner

from .test_serving_app import JPEG, PNG, ask, finish, problem

# --- jobs --------------------------------------------------------------------------------------------------


def post(*pictures, key="coil 7"):
    """A request for a job."""
    return "POST", "/v1/jobs", {"files": [("images", p) for p in pictures], "headers": {"idempotency-key": key}}


@pytest.mark.parametrize("at", [0, 1])
def test_a_job_that_is_made_again_while_its_first_self_is_worked_on_gets_results_of_its_own(make_app, at):
    app = make_app()
    place = ask(app, post(JPEG, JPEG)).headers["location"]
    honest, begun = app.engine.inspect, []

    async def swapped(*args, **options):
        begun.append(args)
        if len(begun) == at + 1:  # in the middle of it, or at its last picture, which leaves nothing but to say so
            store, job = app.jobs, place.rsplit("/", 1)[1]
            store.forget(job, "")
            assert store.create([PNG, JPEG], "", "coil 7") == (job, True)
        return await honest(*args, **options)

    app.engine.inspect = swapped
    finish(app)
    status, results = ask(app, ("GET", place, {}), ("GET", f"{place}/results", {}))
    assert status.json()["status"] == "done" and status.json()["done"] == 2
    assert [json.loads(line)["index"] for line in results.text.splitlines()] == [0, 1]
    assert len(begun) == at + 1 + 2, "the first self went on with the pictures of the second"


def test_a_job_that_is_deleted_at_its_last_picture_leaves_nothing_behind(make_app):
    app = make_app()
    place = ask(app, post(JPEG)).headers["location"]
    honest = app.engine.inspect

    async def deleted(*args, **options):
        app.jobs.forget(place.rsplit("/", 1)[1], "")
        return await honest(*args, **options)

    app.engine.inspect = deleted
    asyncio.run(asyncio.wait_for(Runner(app, app.jobs)._work(place.rsplit("/", 1)[1]), 20))
    problem(ask(app, ("GET", place, {})), "not-found")
    assert not list(app.jobs.folder.iterdir())


def test_a_job_that_is_deleted_while_somebody_asks_is_not_found(make_app):
    app = make_app()
    store, known = app.jobs, app.jobs.path
    for part in ("", "/results"):
        place = ask(app, post(JPEG)).headers["location"]

        def gone(job, owner):
            store.path = known
            found = known(job, owner)
            store.forget(job, owner)
            return found

        store.path = gone
        problem(ask(app, ("GET", place + part, {})), "not-found")

    make = store.create

    def at_once(*args):
        job, new = make(*args)
        store.forget(job, "")
        return job, new

    store.create = at_once
    problem(ask(app, post(JPEG)), "not-found")


def test_results_of_a_job_that_nobody_has_begun_are_empty(make_app):
    app = make_app()
    answer = ask(app, ("GET", ask(app, post(JPEG)).headers["location"] + "/results", {}))
    assert answer.status_code == 200 and answer.content == b""


def test_what_is_left_of_a_half_deleted_job_is_not_in_the_way_of_a_new_one(make_app):
    app = make_app()
    made = ask(app, post(JPEG, JPEG))
    job = made.headers["location"].rsplit("/", 1)[1]
    (app.jobs.folder / job / "job.json").unlink()
    names, scratch = [], app.jobs._scratch
    app.jobs._scratch = lambda job: names.append(job) or scratch(job)
    again, same, other = ask(app, post(PNG), post(PNG), post(JPEG))
    assert again.status_code == 202 and again.headers["location"] == made.headers["location"]
    assert again.json()["images"] == 1 and same.status_code == 200
    problem(other, "conflict")
    assert [path.name for path in app.jobs.folder.iterdir()] == [job] and len(names) == 2
    finish(app)
    assert ask(app, ("GET", again.headers["location"], {})).json()["status"] == "done"


@pytest.mark.parametrize("left", [b"", b'{"created": 1', b"{}", b"[]", b"\xff", b"[" * 100_000])
def test_a_job_whose_document_was_lost_with_the_power_is_none_and_is_not_in_the_way(make_app, left):
    app = make_app()
    place = ask(app, post(JPEG)).headers["location"]
    (app.jobs.folder / place.rsplit("/", 1)[1] / "job.json").write_bytes(left)
    for path in (place, f"{place}/results"):
        problem(ask(app, ("GET", path, {})), "not-found")
    assert app.jobs.open_jobs() == []
    again = ask(app, post(PNG))
    assert again.status_code == 202 and again.headers["location"] == place
    finish(app)
    assert ask(app, ("GET", place, {})).json()["status"] == "done"


def test_a_job_that_cannot_be_done_holds_up_no_other(make_app):
    app = make_app()
    first, second = (ask(app, post(JPEG, key=key)).headers["location"] for key in ("coil 1", "coil 2"))
    (app.jobs.folder / first.rsplit("/", 1)[1] / "00000").unlink()

    async def work():
        task = asyncio.create_task(Runner(app, app.jobs).run())
        for _ in range(500):
            if len(app.jobs.open_jobs()) == 1:
                break
            await asyncio.sleep(0.02)
        task.cancel()

    asyncio.run(work())
    assert [ask(app, ("GET", place, {})).json()["status"] for place in (first, second)] == ["queued", "done"]


def test_of_two_jobs_with_one_key_at_the_same_moment_the_first_counts(make_app):
    store = make_app().jobs
    scratch, job = store._scratch, store.create([JPEG], "", "coil 7")[0]
    for pictures, conflict in (([JPEG], False), ([PNG], True)):
        store.forget(job, "")

        def late(job):
            store._scratch = scratch
            store.create([JPEG], "", "coil 7")
            return scratch(job)

        store._scratch = late
        if conflict:
            with pytest.raises(ServiceError, match="other pictures"):
                store.create(pictures, "", "coil 7")
        else:
            assert store.create(pictures, "", "coil 7") == (job, False)
        assert [path.name for path in store.folder.iterdir()] == [job]


# --- keys --------------------------------------------------------------------------------------------------

GOOD = {"name": "good", "sha256": hashlib.sha256(b"cvp_good").hexdigest(), "scopes": ["inspect"], "rate": 0.0}
MISTYPED = [
    {"sha256": None}, {"sha256": 5}, {"sha256": "\u00e9" * 64}, {"sha256": GOOD["sha256"][1:]}, {"sha256": "g" * 64},
    {"rate": "5"}, {"rate": None}, {"rate": math.nan}, {"rate": math.inf}, {"rate": -5}, {"rate": True},
    {"rate": 10**400}, {"scopes": "inspect"}, {"scopes": None}, {"scopes": ["inspct"]}, {"scopes": [["inspect"]]},
    {"name": 7}, {"name": None}, {"name": ""}, {"name": "a\nb"}, {"owner": "who"},
]  # fmt: skip


def lines(*documents):
    return "".join(json.dumps(document) + "\n" for document in documents)


@pytest.mark.parametrize("change", MISTYPED, ids=str)
def test_a_mistyped_key_is_found_at_its_line_and_takes_nothing_from_the_good_ones(
    tmp_path, caplog, monkeypatch, change
):
    file = tmp_path / "keys.jsonl"
    file.write_text(lines(GOOD))
    keys = auth.Keys(file)
    file.write_text("# by hand\n" + lines(GOOD, {**GOOD, "name": "other", **change}))
    for _ in range(2):
        monkeypatch.setattr(keys, "_next", 0.0)
        assert keys.identify({b"x-api-key": b"cvp_good"}).name == "good"
    [told] = [record for record in caplog.records if record.event == "keys-refused"]
    assert "line 3 of the key file" in told.reason
    with pytest.raises(command.SettingsError, match=r"--api-keys .*keys\.jsonl: line 3 of the key file") as refused:
        command.check_keys(file)
    assert [key.name for key in auth.Keys(file)._keys] == ["good"]  # as a worker that starts again has them
    for text in (told.reason, str(refused.value)):
        assert "\n" not in text and GOOD["sha256"][1:] not in text
    file.write_text(lines(GOOD, {**GOOD, "name": "new", "sha256": hashlib.sha256(b"cvp_new").hexdigest()}))
    monkeypatch.setattr(keys, "_next", 0.0)
    assert keys.identify({b"x-api-key": b"cvp_new"}).name == "new"


@pytest.mark.parametrize("line", [b"\xff", b"[" * 100_000, b"[]", b"5", b"null", b"{}", b'{"name": "a"}'])
def test_a_line_that_is_no_key_at_all(tmp_path, line):
    file = tmp_path / "keys.jsonl"
    file.write_bytes(lines(GOOD).encode() + line)
    with pytest.raises(ValueError, match="line 2 of the key file is not a key"):
        auth.read(file)


def test_keys_as_people_write_them(tmp_path):
    file = tmp_path / "keys.jsonl"
    plain = {"name": "Bandstraße 7", "sha256": GOOD["sha256"].upper()}
    file.write_text(lines(plain, {**GOOD, "rate": 5, "scopes": ["inspect", "admin"]}))
    first, second = auth.read(file)
    assert first == auth.Key("Bandstraße 7", GOOD["sha256"]) and second.rate == 5 and "admin" in second.scopes


def test_a_mistyped_key_file_does_not_start(tmp_path):
    file = tmp_path / "keys.jsonl"
    file.write_text(lines(GOOD, {**GOOD, "sha256": None}))
    ended = subprocess.run(
        [sys.executable, "-m", "cvprod.serving", "--port", "0", "--workers", "1", "--api-keys", file],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert f"--api-keys {file}: line 2 " in ended.stderr and "sha256" in ended.stderr


@pytest.mark.parametrize("rate", ["nan", "inf", "-5", "1e300"])
def test_a_key_is_not_made_with_a_rate_that_is_none(tmp_path, capsys, rate):
    file = tmp_path / "keys.jsonl"
    assert command.main(["keys", "add", "camera", "--file", str(file), f"--rate={rate}"]) == 1
    told = capsys.readouterr()
    assert "rate is a number from 0" in told.err and told.err.count("\n") == 1
    assert not told.out and not file.exists()


# --- lengths and callers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["1" * 5000, "0" * 5000, "9" * 21, "3", "-1", "1.0"])
def test_the_length_of_a_tensors_head_is_one_within_the_body(make_app, length):
    headers = {"inference-header-content-length": length}
    answer = ask(make_app(), ("POST", "/v2/models/steel/infer", {"content": b"{}", "headers": headers}))
    problem(answer, "malformed-request")


@pytest.mark.parametrize(
    ("peer", "caller"),
    [
        ("ipv4:1.2.3.4:5", "1.2.3.4"), ("ipv6:[::1]:5", "::1"), ("ipv6:%5B::1%5D:5", "::1"),
        ("ipv6:%5Bfe80::1%25eth0%5D:5", "fe80::1%eth0"), ("unix:", "unix:"), ("unix:/run/a:7", "unix:/run/a:7"),
    ],
)  # fmt: skip
def test_a_caller_over_grpc_is_its_address(peer, caller):
    assert address(peer) == caller


def test_a_new_connection_gives_no_new_share_of_the_rate(make_app, monkeypatch):
    app = make_app(rate_limit=1)
    asked = 8

    async def work():
        server = grpc.aio.server()
        service = Service(app)
        server.add_generic_rpc_handlers((service.handler(),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        codes = []
        for _ in range(asked):
            own = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own, as from another process
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=own) as channel:
                call = channel.unary_unary(
                    "/inference.GRPCInferenceService/ModelReady",
                    request_serializer=service.types["ModelReadyRequest"].SerializeToString,
                    response_deserializer=service.types["ModelReadyResponse"].FromString,
                )
                try:
                    await call(service.types["ModelReadyRequest"](name="steel"))
                except grpc.aio.AioRpcError as error:
                    codes.append(error.code())
        await server.stop(0)
        return codes

    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: 100.0))  # of the limiter, not of the loop
    refused = asyncio.run(work())
    assert refused == [grpc.StatusCode.RESOURCE_EXHAUSTED] * (asked - 2)  # twice the rate at once, and then no more
