"""What may be attached to the service: watchers of its answers, and a filter of what leaves it.

A watcher is any object with `seen(observation)`, and with `close()` if it holds something. It is called in the worker's
event loop, one turn after the answer was written: it must be quick (put slow work into a thread), and an error in it is
logged and counted, and never reaches the caller. If it has `failed(route, code, request_id, traceparent, seconds)`,
it hears of answers from 500 on, too. A filter takes the verdicts of a request and returns those that may be
said; an error in it refuses the answer, since what it was to hide must not leave.

To add a part, give it a setting (a field of `settings.Settings`, such as `records: Path | None`) and a line in `PARTS`.
Where the setting is present, every worker imports the module and calls the function with its `Context` and the
setting's value:

    def attach(context: Context, folder: Path) -> None:
        context.watchers.append(Records(folder))

Parts of your own need no line here: `--attach mypackage.mymodule:attach` (CVPROD_ATTACH), several with commas.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .settings import Settings, SettingsError

if TYPE_CHECKING:
    from .context import Context

#: Setting to module:function.
PARTS: dict[str, str] = {
    "records": "cvprod.serving.records:attach",
    "tracing": "cvprod.serving.tracing:attach",
    "output": "cvprod.serving.output:attach_filter",
    "watch_queries": "cvprod.serving.output:attach_watch",
    "shadow": "cvprod.rollout.shadow:attach",
}


def attach(context: Context) -> None:
    """Attach what the settings ask for. Raises SettingsError where a part is not there, or refuses its setting."""
    for place, value in _wanted(context.settings):
        function = find(place)
        function(context, value) if value is not None else function(context)


def check(settings: Settings) -> None:
    """A part that is not there is found once, before any worker. Raises SettingsError."""
    for place, _ in _wanted(settings):
        find(place)


def find(place: str) -> Callable[..., Any]:
    """The function that module:function names. Raises SettingsError."""
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"there is nothing to attach at {place!r}: {error}") from None


def _wanted(settings: Settings) -> list[tuple[str, Any]]:
    named = [(PARTS[name], value) for name in PARTS if (value := getattr(settings, name)) not in (None, False, "")]
    return named + [(place.strip(), None) for place in settings.attach.split(",") if place.strip()]
