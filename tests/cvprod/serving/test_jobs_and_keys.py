"""Jobs that are deleted, made again or half gone; keys, lengths and callers that are mistyped, endless or many."""

import asyncio
import json

import pytest

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
