"""A chapter with a failing cell: run it to its end all the same, keep what it shows, and say which cells failed.

A reader whose machine fails one cell loses that cell and not the book: its error stands on its page, under a plain
warning that `book/_ext/cvprod_site` puts there, and the build ends with a list of what failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from cvprod.book import notebooks


@dataclass(frozen=True)
class Failure:
    """A code cell that raised: the notebook's name, the cell's number (from 1, text cells count), what it raised."""

    notebook: str
    number: int
    error: str

    def __str__(self) -> str:
        return f"{self.notebook}, cell {self.number}: {self.error}"


def failures(notebook: nbformat.NotebookNode, name: str) -> list[Failure]:
    """The failed cells of an executed notebook."""
    return [
        Failure(name, number, f"{output.ename}: {output.evalue}".strip().splitlines()[0][:200])
        for number, cell in enumerate(notebook.cells, 1)
        for output in _errors(cell)
    ]


def _errors(cell: nbformat.NotebookNode) -> Iterator[nbformat.NotebookNode]:
    if cell.cell_type == "code" and "raises-exception" not in notebooks.tags(cell):
        yield from (output for output in cell.outputs if output.output_type == "error")


def run_to_the_end(path: Path, *, timeout: float) -> nbformat.NotebookNode:
    """Execute every cell of the notebook at `path`, in its folder, also after one that raises.

    timeout: seconds for a cell, after which it is interrupted; what follows still runs. A kernel that dies ends the
    run, and the cell that killed it says so. Returns the notebook with its outputs; the file is unchanged.
    """
    notebook, begun = notebooks.read(path), []
    client = NotebookClient(
        notebook,
        timeout=timeout,
        iopub_timeout=120,  # the default drops outputs on a busy machine after four seconds
        interrupt_on_timeout=True,
        allow_errors=True,
        record_timing=False,  # times in a cell's metadata would make it another one to Jupyter Book's cache
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=lambda cell, cell_index: begun.append(cell),
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
        cell = begun[-1] if begun else next(cell for cell in notebook.cells if cell.cell_type == "code")
        said = str(error) or type(error).__name__
        cell.outputs.append(nbformat.v4.new_output("error", ename=type(error).__name__, evalue=said, traceback=[said]))
    return notebook
