"""The command that puts models into the phone apps: refuses the wrong place before it converts anything."""

import pytest

from cvprod.edge import apps
from cvprod.edge.cli import main


def test_a_folder_without_the_apps_is_refused(tmp_path):
    (tmp_path / "android").mkdir()
    with pytest.raises(ValueError, match="no app in ios"):
        apps.write(tmp_path)
    assert main(["apps", "--out", str(tmp_path)]) == 1


def test_both_models_are_written(tmp_path):
    for name in ("android", "ios"):
        (tmp_path / name).mkdir()
    old = tmp_path / apps.IOS / "old"
    old.mkdir(parents=True)
    written = apps.write(tmp_path, "resnet10_half")
    assert written == [tmp_path / apps.ANDROID, tmp_path / apps.IOS]
    assert (tmp_path / apps.ANDROID).read_bytes()[4:8] == b"TFL3"
    assert (tmp_path / apps.IOS / "Manifest.json").is_file() and not old.exists()
