"""An update is installed whole or not at all, and only if it is signed, newer and healthy."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from cvprod.edge import cli, manifest, update
from cvprod.edge.manifest import SignatureError, UpdateError
from cvprod.edge.update import Device

from .conftest import PIXELS, WEIGHTS, onnx_bytes


def version(device):
    return device.active()[1].version


def rewrite(plant, change):
    """Change the offered manifest and sign it again, as a careless publisher would."""
    path = plant.channel / "manifest.json"
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(json.dumps(document).encode())
    signed = manifest.sign(path.read_bytes(), manifest.load_key(plant.key))
    (plant.channel / "manifest.json.sig").write_bytes(signed)


def test_first_install_then_nothing_new_then_a_delta(plant):
    plant.publish(1)
    assert plant.device.install().downloaded == plant.device.active()[1].files[0].size
    assert plant.device.install() is None
    published = plant.publish(2)
    done = plant.device.install()
    assert version(plant.device) == 2
    assert done.downloaded == published.delta_bytes[1] < 0.8 * done.full_bytes
    path, _ = plant.device.active()
    assert path.read_bytes() == (plant.folder / "new2.onnx").read_bytes()


@pytest.mark.parametrize("where", ["manifest", "signature", "model"])
@pytest.mark.parametrize("position", [0.1, 0.5, 0.9])
def test_one_flipped_bit_anywhere_is_refused_and_the_old_model_stays(plant, where, position):
    plant.publish(1)
    plant.device.install()
    before = plant.device.state
    plant.publish(2)
    for path in plant.channel.glob("v2/*.delta"):
        path.unlink()
    name = {"manifest": "manifest.json", "signature": "manifest.json.sig", "model": "v2/model.onnx"}[where]
    path = plant.channel / name
    data = bytearray(path.read_bytes())
    data[int(position * (len(data) - 2))] ^= 1
    path.write_bytes(data)
    with pytest.raises(UpdateError):
        plant.device.install()
    assert plant.device.state == before
    assert version(plant.device) == 1


def test_a_damaged_delta_costs_a_download_but_not_the_update(plant):
    plant.publish(1)
    plant.device.install()
    plant.publish(2)
    (patch,) = plant.channel.glob("v2/*.delta")
    patch.write_bytes(patch.read_bytes()[:-10] + bytes(10))
    done = plant.device.install()
    assert version(plant.device) == 2
    assert done.downloaded > done.full_bytes


def test_another_key_is_refused_and_key_rotation_works(plant, tmp_path):
    plant.publish(1)
    other = tmp_path / "other.pem"
    public = manifest.new_key(other)
    plant.publish(2, key=other)
    with pytest.raises(SignatureError, match="no trusted key"):
        plant.device.install()
    keys = plant.device.root / "trusted.keys"
    keys.write_text(f"# old, then new\n{plant.public}\n{public}\n")
    assert plant.device.install().manifest.version == 2
    keys.write_text("")
    with pytest.raises(SignatureError, match="trusts no key"):
        plant.device.check()


def test_signature_agrees_with_an_rfc_8032_vector():
    """RFC 8032, section 7.1, test 2: the format is plain Ed25519 over the bytes."""
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    trusted = [base64.b64encode(public).decode()]
    manifest.verify(b"\x72", base64.b64encode(signature), trusted)
    with pytest.raises(SignatureError):
        manifest.verify(b"\x73", base64.b64encode(signature), trusted)


def test_a_replayed_older_manifest_is_refused(plant):
    plant.publish(1)
    old = {name: (plant.channel / name).read_bytes() for name in ("manifest.json", "manifest.json.sig")}
    plant.publish(2)
    plant.device.install()
    for name, content in old.items():
        (plant.channel / name).write_bytes(content)
    with pytest.raises(UpdateError, match="downgrade"):
        plant.device.install()
    with pytest.raises(UpdateError, match="publish a higher one"):
        plant.publish(2)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (onnx_bytes(WEIGHTS[::-1].copy()), "accuracy"),
        (onnx_bytes(np.full_like(WEIGHTS, np.nan)), "finite"),
        (b"no model at all", "cannot be run"),
    ],
    ids=["wrong answers", "nan", "garbage"],
)
def test_a_bad_model_is_refused_for_good_and_a_better_one_comes_through(plant, bad, why):
    plant.publish(1)
    plant.device.install()
    plant.publish(2, bad)
    with pytest.raises(UpdateError, match=why):
        plant.device.install()
    assert version(plant.device) == 1 and plant.device.state.refused == (2,)
    with pytest.raises(UpdateError, match="only a higher version"):
        plant.device.install()
    plant.publish(3)
    assert plant.device.install().manifest.version == 3


def test_the_real_health_check_survives_a_model_that_kills_its_process(plant, tmp_path, monkeypatch):
    monkeypatch.setattr(update, "health_check", plant.real_health)
    plant.publish(1)
    assert plant.device.install().health["accuracy"] > 0.9
    child = tmp_path / "sitecustomize.py"
    child.write_text("import os, signal, sys\nif 'health' in sys.argv: os.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = update.health_check(Path("x.onnx"), tmp_path / "golden.npz", update.Limits())
    assert not found["ok"] and str(-signal.SIGSEGV) in found["why"]


def test_rollback_goes_back_once_and_bars_the_version(plant):
    plant.publish(1)
    plant.device.install()
    with pytest.raises(UpdateError, match="no intact earlier model"):
        plant.device.rollback()
    plant.publish(2)
    plant.device.install()
    assert plant.device.rollback().version == 1 == version(plant.device)
    with pytest.raises(UpdateError, match="rolled back here"):
        plant.device.check()


def test_a_trial_that_dies_too_often_is_rolled_back_and_a_confirmed_one_is_not(plant):
    plant.publish(1)
    plant.device.install()
    plant.device.confirm()
    plant.publish(2)
    plant.device.install()
    assert [plant.device.started() for _ in range(update.MAX_TRIAL_STARTS + 1)] == [False] * 3 + [True]
    assert version(plant.device) == 1
    plant.publish(3)
    plant.device.install()
    plant.device.confirm()
    assert not any(plant.device.started() for _ in range(10))
    assert version(plant.device) == 3


def test_a_model_on_trial_keeps_the_one_it_goes_back_to(plant):
    plant.publish(1)
    plant.device.install()
    plant.device.confirm()
    plant.publish(2)
    plant.device.install()
    slots, state = plant.device.status()["slots"], plant.device.state
    plant.publish(3)
    with pytest.raises(UpdateError, match=r"version 2 is on trial, and version 1 .* version 3 has to wait"):
        plant.device.install()
    assert plant.device.status()["slots"] == slots and plant.device.state == state
    assert plant.device.rollback().version == 1
    assert plant.device.install().manifest.version == 3


def test_a_first_model_on_trial_has_nothing_to_go_back_to_so_the_next_may_come(plant):
    plant.publish(1)
    plant.device.install()
    plant.publish(2)
    assert plant.device.install().manifest.version == 2


@pytest.mark.parametrize("bad", [None, onnx_bytes(WEIGHTS[::-1].copy())], ids=["damaged on the way", "wrong answers"])
def test_a_refused_update_leaves_both_slots(plant, bad):
    for number in (1, 2):
        plant.publish(number)
        plant.device.install()
        plant.device.confirm()
    plant.publish(3, bad)
    if bad is None:
        for path in plant.channel.glob("v3/*"):
            if "manifest" not in path.name:
                path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(UpdateError, match="refused"):
        plant.device.install()
    assert sorted(plant.device.status()["slots"].values()) == ["version 1", "version 2"]
    assert {path.name for path in (plant.device.root / "slots").iterdir()} == {"a", "b"}
    assert plant.device.rollback().version == 1


def test_what_was_rolled_back_stays_away_when_the_state_is_lost(plant):
    plant.publish(1)
    plant.device.install()
    plant.publish(2)
    plant.device.install()
    plant.device.rollback()
    (plant.device.root / "state.json").write_text("{")
    assert version(Device(plant.device.root)) == 1 and plant.device.state.refused == (2,)
    with pytest.raises(UpdateError, match="rolled back here"):
        plant.device.install()


def test_only_the_model_that_ran_is_confirmed(plant):
    plant.publish(1)
    plant.device.install()
    plant.device.confirm(1)
    plant.publish(2)
    plant.device.install()
    plant.device.confirm(1)  # a loop that has not noticed the new one yet
    assert plant.device.state.trial_starts == 0
    plant.device.confirm(2)
    assert plant.device.state.trial_starts is None


def test_bit_rot_in_the_active_slot_falls_back_and_a_damaged_state_is_rebuilt(plant):
    plant.publish(1)
    plant.device.install()
    plant.publish(2)
    plant.device.install()
    (plant.device.root / "state.json").write_text("{")
    assert version(Device(plant.device.root)) == 2
    path, _ = plant.device.active()
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert version(plant.device) == 1
    assert "DAMAGED" in plant.device.status()["slots"].values()
    assert plant.device.install().manifest.version == 2  # the same version again: it was never at fault


def test_every_cut_of_power_during_an_install_leaves_a_device_that_works(plant, monkeypatch):
    """Die before each single atomic write of an install; the old model or the new one must run, never neither."""
    plant.publish(1)
    plant.device.install()
    plant.publish(2)
    real, outcomes = update.write_atomic, []
    for dies_at in range(1, 20):
        count = 0

        def write(path, data, dies_at=dies_at, **options):
            nonlocal count
            count += 1
            if count == dies_at:
                raise KeyboardInterrupt
            real(path, data, **options)

        monkeypatch.setattr(update, "write_atomic", write)
        try:
            plant.device.install()
            break
        except KeyboardInterrupt:
            outcomes.append(version(Device(plant.device.root)))
        finally:
            monkeypatch.setattr(update, "write_atomic", real)
    assert len(outcomes) >= 3 and set(outcomes) == {1}
    assert version(plant.device) == 2


def test_a_full_disk_refuses_the_update_and_changes_nothing(plant, monkeypatch):
    plant.publish(1)
    plant.device.install()
    plant.publish(2)
    before = plant.device.state

    def full(path, data, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(update, "write_atomic", full)
        with pytest.raises(UpdateError, match="No space left"):
            plant.device.install()
    assert plant.device.state == before and version(plant.device) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d.update(name="other"), "offers 'other'"),
        (lambda d: d.update(min_app_version="9.0.0"), "update the app first"),
        (lambda d: d.update(min_app_version="nine"), "form 1.2.3"),
        (lambda d: d.update(format=2), "format 2"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d.pop("created"), "created"),
        (lambda d: d.update(version="2"), "version '2'"),
        (lambda d: d.update(version=True), "version True"),
        (lambda d: d.update(files=[]), "empty"),
        (lambda d: d["files"][0].update(install_as="../../etc/passwd"), "relative path"),
        (lambda d: d["files"][0].update(path="/etc/passwd"), "relative path"),
        (lambda d: d["files"][0].update(size=10), "longer than the 10 bytes"),
        (lambda d: d["files"][0].update(sha256="0"), "64 hex"),
    ],
)
def test_a_validly_signed_but_wrong_manifest_is_refused_by_name(plant, change, why):
    plant.publish(1)
    rewrite(plant, change)
    with pytest.raises(UpdateError, match=why):
        plant.device.install()
    assert plant.device.state.active is None


def test_a_folder_model_keeps_its_structure(plant, tmp_path):
    """An .mlpackage is a folder; it is published file by file."""
    package = tmp_path / "net.mlpackage"
    (package / "Data" / "weights").mkdir(parents=True)
    (package / "Manifest.json").write_text("{}")
    (package / "Data" / "weights" / "weight.bin").write_bytes(bytes(1000))
    done = update.publish(plant.channel, package, name="inspector", version=1, key=plant.key, classes=["a"])
    names = {file.install_as for file in done.manifest.files}
    assert names == {"model.mlpackage/Manifest.json", "model.mlpackage/Data/weights/weight.bin"}
    assert update.model_path(Path("s"), done.manifest) == Path("s/model.mlpackage")


def test_over_http_and_from_a_server_that_is_gone(plant):
    plant.publish(1)
    handler = partial(SimpleHTTPRequestHandler, directory=str(plant.channel))
    handler.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        plant.device.channel = f"http://127.0.0.1:{server.server_port}"
        assert plant.device.install().manifest.version == 1
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(UpdateError, match="could not be fetched"):
        plant.device.check()


def test_two_installs_at_once_do_not_mix(plant):
    plant.publish(1)
    with plant.device._locked(), pytest.raises(UpdateError, match="another install"):
        Device(plant.device.root).install()


def test_keys_are_private_and_never_overwritten(plant):
    assert plant.key.stat().st_mode & 0o077 == 0
    with pytest.raises(FileExistsError):
        manifest.new_key(plant.key)


def test_the_command_line_from_key_to_rollback(tmp_path, capsys):
    np.savez(tmp_path / "golden.npz", images=PIXELS, labels=(PIXELS.reshape(28, -1) @ WEIGHTS).argmax(1))
    for number in (1, 2):
        (tmp_path / f"{number}.onnx").write_bytes(onnx_bytes(WEIGHTS * (1 + number / 1000)))

    def run(*words):
        status = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status, out, err

    status, public, _ = run("keygen", "--out", tmp_path / "key.pem")
    assert status == 0
    where = ("--model-dir", tmp_path / "device")
    status, _, err = run("status", *where)
    assert status == 1 and "init" in err
    channel = tmp_path / "channel"
    publish = ("--channel", channel, "--name", "net", "--key", tmp_path / "key.pem")
    assert run("publish", tmp_path / "1.onnx", "--version", 1, *publish)[0] == 0
    setup = ("--name", "net", "--channel", channel, "--trust", public.strip(), "--golden", tmp_path / "golden.npz")
    assert run("init", *where, *setup, "--max-p50-ms", 5000)[0] == 0
    assert "version 1" in run("check", *where)[1]
    assert "version 1 installed" in run("install", *where)[1]
    assert run("check", *where)[1] == "up to date\n"
    assert "from version 1" in run("publish", tmp_path / "2.onnx", "--version", 2, *publish)[1]
    assert run("install", *where)[0] == 0
    assert "back to version 1" in run("rollback", *where)[1]
    status, out, _ = run("status", *where)
    assert json.loads(out)["refused"] == [2]
    status, _, err = run("install", *where)
    assert status == 1 and "rolled back here" in err
    with pytest.raises(SystemExit, match="2"):
        run("publish")
    assert run("publish", tmp_path / "none.onnx", "--version", 9, *publish)[0] == 1


def test_a_device_needs_no_torch():
    """The loop and the updater must start on a board that has neither PyTorch nor pandas."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'pandas', 'matplotlib', 'scipy', 'onnx'): sys.modules[name] = None\n"
        "from cvprod.edge import cli, loop, update, sources, engine\n"
        "cli.main(['status', '--model-dir', '/nowhere'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
    assert "set one up" in done.stderr


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
def test_a_signed_manifest_that_is_no_json_is_refused(data):
    with pytest.raises(UpdateError, match="not JSON"):
        manifest.parse(data)


def test_settings_under_which_nothing_could_ever_be_installed_are_refused_at_once(tmp_path, capsys):
    golden = tmp_path / "golden.npz"
    np.savez(golden, images=PIXELS, labels=np.zeros(len(PIXELS), int))
    np.savez(tmp_path / "bare.npz", images=PIXELS)
    public = manifest.new_key(tmp_path / "key.pem")
    good = {"--trust": public, "--golden": golden}
    for option, wrong, says in [
        ("--trust", "xx", "no public key"), ("--min-accuracy", "7", "share of 0 to 1"), ("--max-p50-ms", "nan", "ms"),
        ("--golden", tmp_path / "bare.npz", "labels"), ("--golden", tmp_path / "key.pem", "no .npz"),
    ]:  # fmt: skip
        words = [str(word) for pair in {**good, option: wrong}.items() for word in pair]
        given = ["init", "--model-dir", str(tmp_path / "d"), "--name", "net", "--channel", "c", *words]
        assert cli.main(given) == 1 and says in capsys.readouterr().err
    assert not (tmp_path / "d" / "config.json").exists()


def test_an_empty_model_is_not_signed_and_its_version_stays_free(tmp_path):
    manifest.new_key(tmp_path / "key.pem")
    (tmp_path / "m.onnx").touch()
    offer = partial(update.publish, tmp_path / "c", tmp_path / "m.onnx", version=1, key=tmp_path / "key.pem")
    with pytest.raises(UpdateError, match="is empty"):
        offer(name="net", classes=["a", "b"])
    (tmp_path / "m.onnx").write_bytes(b"weights")
    with pytest.raises(UpdateError):
        offer(name="../net", classes=["a", "b"])  # fails after its files are written
    assert offer(name="net", classes=["a", "b"]).full_bytes == 7


def test_a_model_that_does_not_run_is_one_sentence(tmp_path, capsys):
    np.savez(tmp_path / "golden.npz", images=PIXELS, labels=np.zeros(len(PIXELS), int))
    (tmp_path / "m.onnx").write_bytes(b"no model")
    assert cli.main(["health", str(tmp_path / "m.onnx"), "--golden", str(tmp_path / "golden.npz")]) == 1
    assert "does not run on tiles" in (said := capsys.readouterr().err) and said.count("\n") == 1
