"""Keep for the book what the tests have executed: a plugin for pytest, beside nbval.

``pytest -p cvprod.book.pytest_keep --nbval-lax notebooks`` runs every cell of every chapter. That is nearly all that a
book costs, so a chapter whose cells all passed goes into Jupyter Book's cache, and a build that follows only renders
it. A chapter with a failed cell is not kept: the build runs it again, and fails too. Neither is one that takes outputs
back or shows widgets (progress bars): nbval does not follow those, so what it saw is not what a page would show.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from pathlib import Path

import nbformat
import pytest
from nbval.plugin import IPyNbCell

from cvprod.book import build, notebooks

#: Messages after which a cell's outputs are not simply what was sent.
CHANGING = frozenset({"clear_output", "update_display_data", "comm_open"})


class Kept:
    """The plugin: what has passed so far, and the cache it goes to.

    Args:
        cache: folder of Jupyter Book's cache (`execute: cache` in _config.yml).
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._passed: dict[Path, dict[str, tuple[IPyNbCell, float]]] = defaultdict(dict)
        self._told: dict[Path, set[str]] = {}

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Listen, from its first cell on, to the kinds of messages that a notebook's kernel sends."""
        if isinstance(item, IPyNbCell) and item.path not in self._told:
            told = self._told[item.path] = set()
            get = item.parent.get_kernel_message

            def listen(*args: object, **options: object) -> dict:
                message = get(*args, **options)
                told.add(message["msg_type"])
                return message

            item.parent.get_kernel_message = listen

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item):
        """Note a cell that passed, and how long it took."""
        report = yield
        if isinstance(item, IPyNbCell) and report.when == "call" and report.passed:
            self._passed[item.path][item.cell.id] = (item, report.duration)
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """After a notebook's last cell, keep the notebook if all of it passed."""
        if isinstance(item, IPyNbCell) and (nextitem is None or nextitem.path != item.path):
            self._keep(item.path, item.parent.nb, self._passed.pop(item.path, {}))

    def _keep(self, path: Path, source: nbformat.NotebookNode, passed: dict[str, tuple[IPyNbCell, float]]) -> None:
        if self._told.pop(path, set()) & CHANGING:
            return
        notebook, count = copy.deepcopy(source), 0
        for cell in notebook.cells:
            if cell.cell_type != "code" or notebooks.tags(cell) & notebooks.SKIP_TAGS:
                continue
            if cell.id not in passed:
                return
            count += 1
            cell.execution_count = count
            cell.outputs = nbformat.from_dict(passed[cell.id][0].test_outputs)
        build.keep(notebook, path, self.cache, sum(took for _, took in passed.values()))


def pytest_configure(config: pytest.Config) -> None:
    """Outputs made with another version of the package go first; then begin to collect."""
    if not hasattr(config, "workerinput"):  # once, before pytest-xdist starts the processes that run tests
        build.drop_stale_cache()
    config.pluginmanager.register(Kept(build.BUILD / ".jupyter_cache"))
