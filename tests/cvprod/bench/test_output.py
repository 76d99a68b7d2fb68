"""What a benchmark writes, and how it fails: before it measures where it can, and in one line."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvprod.bench import FailureError, UsageError, __main__, check_output, mendable, runtimes, sim2real, write_output
from cvprod.contract import ContractError
from cvprod.models import WeightsError, weights_path
from cvprod.surface import ImageError, make_tile

PLOTS = (".svg", ".png")


def test_a_path_that_can_be_written_passes_and_nothing_is_left_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    old = tmp_path / "old.json"
    old.write_text("old")
    for path in (None, tmp_path / "new.json", Path("new.json"), old):
        check_output("--json", path)
    check_output("--plot", Path("x.SVG"), PLOTS)
    if Path("/dev/stdout").exists():
        check_output("--json", Path("/dev/stdout"))
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"] and old.read_text() == "old"


def test_a_path_that_cannot_be_written_is_refused_by_its_option(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    wrong = {
        tmp_path: "it is a folder",
        tmp_path / "no" / "x.json": "its folder does not exist",
        tmp_path / "file" / "x.json": "its folder does not exist",
        tmp_path / ("x" * 300): "cannot be written",
    }
    for path, why in wrong.items():
        with pytest.raises(UsageError, match=f"--json .*{why}"):
            check_output("--json", path)
    with pytest.raises(UsageError, match=r"--plot .*\.pdf: the name must end in \.svg or \.png"):
        check_output("--plot", tmp_path / "x.pdf", PLOTS)

    def refused(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refused)  # root may write everywhere
    with pytest.raises(UsageError, match=r"x\.json: cannot be written \(Permission denied\)"):
        check_output("--json", tmp_path / "x.json")


def test_what_is_written_is_whole_and_a_link_stays_a_link(tmp_path):
    file, link = tmp_path / "x.json", tmp_path / "link.json"
    write_output("--json", file, "ä")
    assert file.read_bytes() == "ä".encode()
    link.symlink_to(file)
    write_output("--json", link, b"new")
    assert link.is_symlink() and file.read_bytes() == b"new"
    assert {path.name for path in tmp_path.iterdir()} == {"x.json", "link.json"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_a_failure_with_the_option_in_it():
    check_output("--json", Path("/dev/full"))
    with pytest.raises(FailureError, match="--json /dev/full: could not be written"):
        write_output("--json", Path("/dev/full"), "x")


@pytest.mark.parametrize("error", [ValueError("odd"), FileNotFoundError("odd")])
def test_what_can_be_mended_becomes_a_usage_error(error):
    with pytest.raises(UsageError, match=r"^--images: odd$"), mendable("--images"):
        raise error
    with pytest.raises(UsageError, match=r"^odd$"), mendable():
        raise error
    with pytest.raises(ZeroDivisionError), mendable():
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError, 2), (ImageError, 2), (WeightsError, 2), (ContractError, 2), (FailureError, 1),
    ],
)  # fmt: skip
def test_every_failure_is_one_line_and_a_status(monkeypatch, capsys, error, status):
    def run(args):
        raise error("no luck")

    monkeypatch.setattr(sim2real, "run", run)
    assert __main__.main(["sim2real", "--images", "x"]) == status
    assert capsys.readouterr().err == "python -m cvprod.bench sim2real: no luck\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "real" / "scratches").mkdir(parents=True)
    Image.fromarray(make_tile("scratches", 1).image).save(tmp_path / "real" / "scratches" / "1.png")
    return tmp_path / "real"


def test_truncated_weights_are_one_line(folder, tmp_path, monkeypatch, capsys):
    from cvprod.models import load_weights

    (tmp_path / "resnet18.json").write_bytes(weights_path("resnet18").with_suffix(".json").read_bytes())
    (tmp_path / "resnet18.safetensors").write_bytes(weights_path("resnet18").read_bytes()[:1000])
    monkeypatch.setattr(sim2real, "load", lambda name: load_weights(name, folder=tmp_path))
    assert __main__.main(["sim2real", "--images", str(folder)]) == 2
    shown = capsys.readouterr().err
    assert "truncated" in shown and shown.count("\n") == 1


def test_the_file_is_checked_before_anything_is_measured(folder, tmp_path, monkeypatch, capsys):
    def called(*args, **options):
        raise AssertionError("too early")

    monkeypatch.setattr(sim2real, "load_folder", called)
    monkeypatch.setattr(runtimes.models, "load", called)
    for words in (["sim2real", "--images", str(folder)], ["runtimes"]):
        assert __main__.main([*words, "--json", str(tmp_path)]) == 2
        assert "it is a folder" in capsys.readouterr().err


def test_data_that_cannot_be_read_is_one_line(folder, monkeypatch, capsys):
    def called(*args, **options):
        raise AssertionError("too early")

    monkeypatch.setattr(runtimes, "measured", called)
    bad = folder.parent / "bad"
    (bad / "clean").mkdir(parents=True)
    for k in range(40):
        (bad / "clean" / f"{k}.png").write_text("no")
    # nothing there, a split of one image is empty, no image
    for data, said in (("/nope", "does not exist"), (folder, "split; add images"), (bad, "not a readable image")):
        monkeypatch.setenv("CVPROD_DATA", str(data))
        assert __main__.main(["runtimes", "--network", "student"]) == 2
        shown = capsys.readouterr().err
        assert said in shown and shown.count("\n") == 1


def test_the_runtimes_command_writes_its_rows(tmp_path, monkeypatch, capsys):
    from cvprod.runtimes import parity
    from cvprod.surface import make_set

    monkeypatch.setattr(runtimes, "tiles", lambda split, n: make_set(7, 1))
    file = tmp_path / "rows.json"
    words = ["--network", "student", "--only", parity.REFERENCE, "--threads", "1", "--repeats", "2"]
    assert __main__.main(["runtimes", *words, "--json", str(file)]) == 0
    (row,) = json.loads(file.read_text())["rows"]
    assert row["agreement"] == 1 and np.isfinite(row["p50_ms"])
    assert not os.access(file, os.X_OK) and [p.name for p in tmp_path.iterdir()] == ["rows.json"]


def test_an_interrupted_benchmark_says_so_in_a_line(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sim2real, "run", interrupted)
    assert __main__.main(["sim2real", "--images", "anything"]) == 130
    assert capsys.readouterr().err.count("\n") == 1
