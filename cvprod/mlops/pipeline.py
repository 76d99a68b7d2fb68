"""The steps as a Dagster job, and what makes a killed run go on: a lock, a reaper, a run from where it failed.

Dagster keeps runs and what steps returned in SQLite under DAGSTER_HOME; the job runs in the process that starts it. The
same definitions run on Kubernetes, one pod a run (deploy/dagster).

Dagster does two things about a killed run that one has to know. It stays "started" for ever, since nobody is left to
say otherwise: `reap` says it. And two processes that start on one event both run: the lock of the event lets one at a
time work, and shows at once whether the other still lives, since the system frees the lock of a process that dies.
"""

import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg  # no `annotations` from __future__ here: Dagster reads the types of a step's arguments

from cvprod.files import locked

from . import steps

QUIET = "telemetry:\n  enabled: false\n"


class Line(dg.ConfigurableResource):
    """Which site and which event the steps of a run work on."""

    folder: str
    event: str
    idempotent: bool = True

    def site(self) -> steps.Site:
        return steps.Site(Path(self.folder), self.idempotent)


def _op(step: Callable) -> dg.OpDefinition:
    """A step as a Dagster op: gets what the steps before it found, returns that and its own findings."""

    @dg.op(name=step.__name__, description=step.__doc__, required_resource_keys={"line"})
    def op(context, found: dict) -> dict:
        line: Line = context.resources.line
        site = line.site()
        return found | step(site, site.event(line.event), found)

    return op


@dg.op
def begin() -> dict:
    """Nothing is found out yet."""
    return {}


@dg.job(
    executor_def=dg.in_process_executor,
    resource_defs={"line": Line.configure_at_launch()},
    description="From a drift to a new champion, or to a refusal.",
)
def maintain() -> None:
    found = begin()
    for step in steps.STEPS:
        found = _op(step)(found)


def reap(instance: dg.DagsterInstance, event: str) -> str | None:
    """Say of the event's run, left "started" by a process that died, that it failed; returns its id.

    Call it with the event's lock in hand: nobody can be working on it then.
    """
    alive = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    for run in instance.get_runs(dg.RunsFilter(tags={"event": event}, statuses=alive)):
        instance.report_run_failed(run, message="its process is gone")
        return run.run_id
    return None


def run(folder: Path, event: str, *, keys: bool = True, lock: bool = True) -> dict:
    """Work on an event to its end; returns what the steps found. Where it was done before, that is all it does.

    A run that somebody killed goes on behind the last step whose result Dagster recorded. Raises RuntimeError where a
    step fails, and ValueError for an event that is not there.
    """
    site = steps.Site(folder := Path(folder).resolve(), keys)
    site.event(event)
    if not lock:
        return _run(site, folder, event)
    with locked(folder / f"{event}.lock"):
        return _run(site, folder, event)


def _run(site: steps.Site, folder: Path, event: str) -> dict:
    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(QUIET, "utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    launch = {"resources": {"line": {"config": {"folder": str(folder), "event": event, "idempotent": site.keys}}}}
    with dg.DagsterInstance.get() as instance:
        reap(instance, event)
        past = instance.get_runs(dg.RunsFilter(tags={"event": event}), limit=1)  # the newest
        if not past or not past[0].is_success:
            again = dg.ReexecutionOptions.from_failure(past[0].run_id, instance) if past else None
            with dg.execute_job(
                dg.reconstructable(maintain), instance, launch, {"event": event}, reexecution_options=again
            ) as result:
                if not result.success:
                    raise RuntimeError(_why(result))
    return steps.outcome(site, event)


def _why(result: dg.JobExecutionResult) -> str:
    """The step that failed and its error, in a line."""
    for found in result.filter_events(lambda entry: entry.is_step_failure):
        error = found.step_failure_data.error
        cause = error.cause or error
        return f"the step {found.step_key!r} failed: {cause.message.strip()}"
    return "the run failed before its first step"


@dg.sensor(job=maintain, minimum_interval_seconds=30)
def events(context):
    """On a cluster: a run for each event file of $CVPROD_SITE. Its name is the run's key, so it is started once."""
    folder = Path(os.environ["CVPROD_SITE"])
    for path in sorted((folder / "events").glob("*.json")):
        config = {"folder": str(folder), "event": path.stem}
        yield dg.RunRequest(
            run_key=path.stem, tags={"event": path.stem}, run_config={"resources": {"line": {"config": config}}}
        )


defs = dg.Definitions(jobs=[maintain], sensors=[events])
