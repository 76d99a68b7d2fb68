"""Every committed notebook keeps the rules, and the rules catch what they are there to catch."""

import nbformat
import pytest

from cvprod.book import notebooks
from cvprod.repo import repository

PATHS = notebooks.committed()
CHAPTERS = [path for path in PATHS if path.stem[:2].isdigit()]


def _notebook(*cells):
    first = nbformat.v4.new_code_cell(notebooks.BOOTSTRAP)
    return notebooks.normalise(nbformat.v4.new_notebook(cells=[first, *cells]))


def _faults(tmp_path, notebook):
    path = tmp_path / "x.ipynb"
    path.write_text(nbformat.writes(notebook))
    return notebooks.faults(path)


def test_there_are_notebooks():
    assert PATHS


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_committed_notebook_keeps_the_rules(path):
    assert notebooks.faults(path) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_committed_notebook_is_normalised(path):
    notebook = notebooks.normalise(notebooks.read(path))
    assert path.read_text() == nbformat.writes(notebook).rstrip("\n") + "\n", "run: make format"


@pytest.mark.parametrize("path", [path for path in PATHS if path.stem[:2].isdigit()], ids=lambda path: path.stem)
def test_chapter_asserts_its_claims(path):
    code = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    assert sum("assert " in source for source in code) >= 3


def test_bootstrap_cell_names_the_one_repository_address():
    assert repository() in notebooks.BOOTSTRAP


@pytest.mark.parametrize(
    ("tags", "fault"),
    [
        (["gpu"], "lacks the tag nbval-skip, skip-execution"),
        (["gpu", "skip-execution"], "lacks the tag nbval-skip"),
        (["tensorrt", "nbval-skip"], "lacks the tag skip-execution"),
        (["skip-execution"], "names no hardware"),
        (["nbval-skip"], "names no hardware"),
    ],
)
def test_tag_rule_holds_the_three_together(tmp_path, tags, fault):
    cell = nbformat.v4.new_code_cell("1", metadata={"tags": tags})
    assert any(fault in line for line in _faults(tmp_path, _notebook(cell)))


def test_complete_tags_and_plain_cells_pass(tmp_path):
    cell = nbformat.v4.new_code_cell("1", metadata={"tags": ["gpu", "skip-execution", "nbval-skip"]})
    assert _faults(tmp_path, _notebook(cell, nbformat.v4.new_code_cell("2"))) == []


def test_outputs_and_counts_are_faults_until_normalised(tmp_path):
    notebook = _notebook(nbformat.v4.new_code_cell("1"))
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    notebook.cells[1].execution_count = 3
    found = " ".join(_faults(tmp_path, notebook))
    assert "committed outputs" in found and "execution count" in found
    assert _faults(tmp_path, notebooks.normalise(notebook)) == []


def test_unlabelled_hardware_outputs_are_stripped_and_labelled_ones_kept():
    label = {"machine": "m", "date": "2026-01-01", "versions": {}}
    metadata = {"tags": ["gpu", "skip-execution", "nbval-skip"]}
    output = nbformat.v4.new_output("stream", text="fast\n")
    bare = nbformat.v4.new_code_cell("1", metadata=metadata, outputs=[output])
    labelled = nbformat.v4.new_code_cell("1", metadata={**metadata, "recorded": label}, outputs=[output])
    notebook = _notebook(bare, labelled)
    assert notebook.cells[1].outputs == [] and len(notebook.cells[2].outputs) == 1


def test_long_markdown_line_and_wrong_bootstrap_are_faults(tmp_path):
    notebook = _notebook(nbformat.v4.new_markdown_cell("word " * 30))
    notebook.cells[0].source = "import os"
    found = " ".join(_faults(tmp_path, notebook))
    assert "line of" in found and "bootstrap" in found


def test_unreadable_notebook_is_named(tmp_path, capsys):
    path = tmp_path / "broken.ipynb"
    path.write_text("{")
    assert notebooks.main(["check", str(path)]) == 1
    assert "broken.ipynb" in capsys.readouterr().err
