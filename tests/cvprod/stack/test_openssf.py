"""A signed folder is taken as it was signed, and refused with any file changed, added, removed, or another's key."""

import pytest

from cvprod.stack import openssf, peers


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A folder with a model and its card, its signature, and the folder of the keys."""
    try:
        peers.environment("signing")
    except RuntimeError as error:
        pytest.skip(str(error))
    place = tmp_path_factory.mktemp("openssf")
    model = place / "model"
    model.mkdir()
    (model / "steel.onnx").write_bytes(b"1" * 1000)
    (model / "steel.json").write_text("{}")
    openssf.new_key(place / "key.pem", place / "public.pem")
    return model, openssf.sign(model, place / "key.pem"), place


def test_what_was_signed_is_taken(signed):
    model, signature, place = signed
    openssf.verify(model, signature, place / "public.pem")
    assert (place / "key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("steel.onnx", b"1" * 999 + b"2", "Hash mismatch for 'steel.onnx'"),
        ("helper.pkl", b"x", "Extra files found in model 'model': helper.pkl"),
        ("steel.json", None, "Missing files in model 'model': steel.json"),
    ],
)
def test_a_folder_that_is_another_is_refused(signed, name, data, said):
    model, signature, place = signed
    before = (model / name).read_bytes() if (model / name).exists() else None
    try:
        (model / name).write_bytes(data) if data is not None else (model / name).unlink()
        with pytest.raises(openssf.SignatureError) as refused:
            openssf.verify(model, signature, place / "public.pem")
        assert str(refused.value) == f"Signature mismatch: {said}"
    finally:
        (model / name).unlink(missing_ok=True) if before is None else (model / name).write_bytes(before)


def test_another_key_is_refused(signed):
    model, signature, place = signed
    openssf.new_key(place / "other.pem", place / "others.pem")
    with pytest.raises(openssf.SignatureError, match="Key mismatch"):
        openssf.verify(model, signature, place / "others.pem")


def test_what_is_not_there_is_named(signed):
    _, _, place = signed
    with pytest.raises(openssf.SignatureError, match="nowhere"):
        openssf.sign(place / "nowhere", place / "key.pem")
