"""The runner runs setup and tagged cells only, labels what it records, and leaves no notebook half-written."""

import nbformat
import pytest

from cvprod.book import hardware, notebooks

TAGS = ["gpu", "skip-execution", "nbval-skip"]


@pytest.fixture
def chapter(tmp_path):
    def make(gpu_source: str):
        new = nbformat.v4.new_code_cell
        cells = [
            new(notebooks.BOOTSTRAP),
            new("value = 20", metadata={"tags": ["setup"]}),
            new("raise RuntimeError('an ordinary cell was run')"),
            new(gpu_source, metadata={"tags": TAGS}),
        ]
        path = tmp_path / "01_x.ipynb"
        notebooks.write(nbformat.v4.new_notebook(cells=cells), path)
        return path

    return make


def test_records_tagged_cells_with_their_label(chapter):
    path = chapter("import pathlib\nprint(value + 1, pathlib.Path.home() / 'x')")
    assert hardware.record(path, "gpu", "Test Device") == 1
    cells = notebooks.read(path).cells
    assert cells[3].outputs[0].text == "21 ~/x\n"
    assert cells[3].metadata.recorded.machine.startswith("Test Device")
    assert set(cells[3].metadata.recorded) == {"machine", "date", "versions"}
    assert set(TAGS) <= set(cells[3].metadata.tags)
    assert cells[1].outputs == [] and cells[2].outputs == []
    assert notebooks.faults(path) == []


def test_other_tags_are_left_alone(chapter):
    path = chapter("1 / 0")
    before = path.read_bytes()
    assert hardware.record(path, "coral", "Test Device") == 0
    assert path.read_bytes() == before


def test_failing_cell_changes_nothing_and_is_reported(chapter, monkeypatch, capsys):
    path = chapter("1 / 0")
    before = path.read_bytes()
    monkeypatch.setitem(hardware.PROBES, "gpu", lambda: "Test Device")
    assert hardware.main(["--tag", "gpu", str(path)]) == 1
    assert path.read_bytes() == before
    error = capsys.readouterr().err
    assert "unchanged" in error and "ZeroDivisionError" in error


def test_missing_hardware_is_said_and_nothing_runs(chapter, monkeypatch, capsys):
    path = chapter("1 / 0")

    def absent():
        raise hardware.MissingHardware("no such card")

    monkeypatch.setitem(hardware.PROBES, "gpu", absent)
    assert hardware.main(["--tag", "gpu", str(path)]) == 2
    assert "no such card" in capsys.readouterr().err


def test_unknown_tag_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        hardware.main(["--tag", "abacus"])
    assert "tensorrt" in capsys.readouterr().err
