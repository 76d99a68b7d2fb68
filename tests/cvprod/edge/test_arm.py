"""The aarch64 wheel of LiteRT, really run under qemu, agrees with this CPU's."""

from importlib.util import find_spec

import pytest

from cvprod.edge import arm


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("CVPROD_ARM64", str(tmp_path))
    monkeypatch.setattr(arm.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "--prepare" in arm.missing()
    with pytest.raises(arm.ArmError, match="--prepare"):
        arm.run(tmp_path / "x.tflite", None)
    monkeypatch.setattr(arm.shutil, "which", lambda name: None)
    assert "qemu-user" in arm.missing()
    with pytest.raises(arm.ArmError, match="missing"):
        arm.prepare()


@pytest.mark.skipif(bool(arm.missing()), reason=f"Arm check: {arm.missing()}")
@pytest.mark.skipif(find_spec("litert_torch") is None, reason="needs litert-torch to convert a network")
def test_arm_and_this_cpu_agree():
    found = arm.compare(cpu="cortex-a76", n=4)
    assert found["same_argmax"] == 1.0
    assert found["max_abs_diff"] < 1e-3
