"""A model that was changed, is a pickle or is not signed is refused, by reader, service and pipeline alike."""

import importlib
import json
import pickle
import shutil

import pytest

from cvprod.edge import manifest
from cvprod.models import WeightsError
from cvprod.models.weights import WEIGHTS, load_weights
from cvprod.optimize import zoo
from cvprod.security import signing, supply
from cvprod.security.__main__ import main
from cvprod.serving import card
from cvprod.serving.settings import DEFAULT_MODEL
from cvprod.stack import scanners
from cvprod.stack.service import Service

SAID = {
    "one bit of the file changed": "SHA-256 differs",
    "a pickle in the file's place": "is a pickle",
    "no signature": "not signed",
    "signed by a stranger": "no key that this service trusts",
    "the card changed": "no key that this service trusts",
}


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A signed copy of the service's model, and the file of trusted keys."""
    folder = tmp_path_factory.mktemp("vault")
    keys = signing.trust(manifest.new_key(folder / "release.pem"), folder / "trusted.keys")
    where = card.keep(DEFAULT_MODEL, folder / "models")
    signing.sign(where, folder / "release.pem")
    return where, keys


def test_a_signed_model_is_taken_and_kept(signed, tmp_path):
    where, keys = signed
    assert card.read(where, keys)[0].name == "steel"
    copy = card.keep(where, tmp_path, keys)
    assert card.read(copy)[1] == card.read(where)[1]


@pytest.mark.parametrize("name", supply.CHANGES)
def test_each_change_has_its_own_sentence(signed, name):
    said = supply.refusal(*signed, supply.CHANGES[name])
    assert SAID[name] in said and len(said.split()) > 5 and "/" not in said.replace("`", "")


def test_every_change_is_expected():
    assert SAID.keys() == supply.CHANGES.keys()


@pytest.mark.parametrize("name", ["one bit of the file changed", "a pickle in the file's place"])
def test_what_is_wrong_with_the_file_needs_no_signature_to_be_found(signed, name, tmp_path):
    with pytest.raises(card.ModelError, match=SAID[name]):
        card.read(supply.changed(signed[0], supply.CHANGES[name], tmp_path))


@pytest.mark.parametrize("name", ["a pickle in the file's place", "no signature"])
def test_the_service_does_not_start_with_it(signed, name, tmp_path):
    where = supply.changed(signed[0], supply.CHANGES[name], tmp_path)
    with pytest.raises(RuntimeError, match=f"ended with 3.*must not serve.*{SAID[name]}"):
        Service("--workers", 1, "--model", where, "--model-keys", signed[1])


def test_the_service_swaps_to_signed_models_only(signed, tmp_path):
    where = supply.changed(signed[0], lambda _: None, tmp_path)
    with Service("--workers", 1, "--model", where, "--model-keys", signed[1]) as service:
        load = "/v2/repository/models/steel/load"
        assert service.ask(load, b"", "application/json").status == 200
        supply.CHANGES["no signature"](where)
        answer = service.ask(load, b"", "application/json")
        assert answer.status == 409 or answer.status == 422, answer
        assert "not signed" in json.loads(answer.body)["detail"]
        assert service.ask("/readyz").status == 200, "the old one goes on"


def test_keys_that_cannot_be_read_trust_nobody(signed, tmp_path):
    with pytest.raises(card.ModelError, match="public keys cannot be read"):
        card.read(signed[0], tmp_path / "none")
    (tmp_path / "empty").write_text("# nobody yet\n")
    with pytest.raises(card.ModelError, match="no key that this service trusts"):
        card.read(signed[0], tmp_path / "empty")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_known_by_their_bytes(protocol, tmp_path):
    assert card.is_pickle(pickle.dumps({"w": 1}, protocol))


def test_what_torch_saves_is_a_pickle_and_the_formats_of_this_project_are_none(tmp_path):
    import torch

    torch.save({"w": torch.zeros(2)}, tmp_path / "x.pt")
    assert card.is_pickle((tmp_path / "x.pt").read_bytes())
    assert not card.is_pickle(zoo.pipeline_path().read_bytes())
    assert not card.is_pickle((WEIGHTS / "squeezenet1_1.safetensors").read_bytes())


def test_the_pipeline_refuses_a_pickle_and_a_changed_bit(tmp_path):
    for suffix in ("safetensors", "json"):
        shutil.copy(zoo.WEIGHTS / f"student_nas.{suffix}", tmp_path)
    path = tmp_path / "student_nas.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(WeightsError, match="checksum is wrong"):
        load_weights("student_nas", folder=tmp_path)
    path.write_bytes(supply.pickles()["runs a command"].ljust(len(whole), b"\0"))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights("student_nas", folder=tmp_path)


def test_the_examples_do_what_they_say(monkeypatch):
    called, files = [], supply.pickles()
    monkeypatch.setattr(importlib, "import_module", lambda name: called.append(name))
    pickle.loads(files["imports a module"])
    assert called == ["this"] and pickle.loads(files["harmless"]) == {"w": [1, 2]}
    assert pickle.loads(files["runs a command"]) == 0


def test_scanners_differ_over_the_same_pickle():
    try:
        said = scanners.scan({**supply.pickles(), "model.onnx": zoo.pipeline_path().read_bytes()})
    except RuntimeError as error:
        pytest.skip(f"the scanners' environment cannot be made: {error}")
    assert {verdicts["harmless"] for verdicts in said.values()} == {"nothing found"}
    assert all(verdicts["runs a command"] != "nothing found" for verdicts in said.values())
    assert len({verdicts["imports a module"] for verdicts in said.values()}) == 3
    assert said["modelscan"]["imports a module"] == "nothing found"
    assert said["modelscan"]["model.onnx"] == "not looked at"


def test_commands_sign_and_refuse(tmp_path, capsys, signed):
    assert main(["keygen", str(tmp_path / "k.pem")]) == 0
    (tmp_path / "keys").write_text(capsys.readouterr().out)
    where = supply.changed(signed[0], lambda _: None, tmp_path / "m")
    assert main(["sign", str(where), "--key", str(tmp_path / "k.pem")]) == 0
    assert card.read(where, tmp_path / "keys")
    assert main(["keygen", str(tmp_path / "k.pem")]) == 1
    assert "is there already" in capsys.readouterr().err
    supply.CHANGES["a pickle in the file's place"](where)
    assert main(["sign", str(where), "--key", str(tmp_path / "k.pem")]) == 1
    assert "is a pickle" in capsys.readouterr().err
