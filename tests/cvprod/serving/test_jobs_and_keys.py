"""Jobs that are deleted, made again or half gone; keys, lengths and callers that are mistyped, endless or many."""

import asyncio
import json

import pytest

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
