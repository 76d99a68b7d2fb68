"""The registry: events register once, aliases move, lineage leads back, a changed file is found."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mlflow", reason="needs mlflow")

from cvprod.mlops import heads, registry
from cvprod.mlops.tiles import Embedded

TILES = Embedded(np.random.default_rng(1).normal(0, 1, (30, 96)).astype(np.float32), np.arange(30) % 7)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return registry.Registry(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def model():
    return heads.shipped().with_head(heads.shipped().head)


def test_nothing_is_reported_to_anybody():
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true" and os.environ["DO_NOT_TRACK"] == "true"


def test_from_served_bytes_to_the_data_and_back(store, model):
    assert store.run_of("e-1") is None and store.version_of("e-1") is None and store.named("champion") is None
    run = store.log(model, event="e-1", data={"line": TILES}, metrics={"accuracy": 0.9})
    assert store.run_of("e-1") == run
    version = store.register(run)
    assert store.version_of("e-1") == version
    store.point("champion", version)
    store.point("champion", version)
    assert str(store.named("champion").version) == version
    served = hashlib.sha256(store.file(version)).hexdigest()
    assert served == hashlib.sha256(model).hexdigest() and store.served(served) == version
    found = store.lineage(version)
    assert (found.event, found.run_id, found.file_sha256) == ("e-1", run, served)
    assert found.data == {"line": TILES.digest[:32]} and found.metrics["accuracy"] == 0.9
    store.point("champion", None)
    assert store.named("champion") is None


def test_the_store_itself_registers_twice_so_the_caller_looks_first(store, model):
    run = store.log(model, event="e-2", data={"line": TILES})
    first, second = store.register(run), store.register(run)
    assert first != second and store.version_of("e-2") == first


def test_a_run_that_died_half_way_does_not_count(store):
    import mlflow

    died = store.client.create_run(store.experiment, tags={"event": "e-3"})
    assert died.info.status == "RUNNING" and store.run_of("e-3") is None
    assert mlflow.get_tracking_uri() == store.address


def test_a_changed_file_is_found(store, model):
    run = store.log(model, event="e-4", data={"line": TILES})
    version = store.register(run)
    source = store.client.get_model_version("steel", version).source
    place = store.client.get_logged_model(source.rpartition("/")[2]).artifact_location
    path = Path(place.removeprefix("file://")) / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ValueError, match="SHA-256 differs"):
        store.file(version)


def test_names_that_would_end_a_filter_are_refused(store):
    with pytest.raises(ValueError, match="is no name"):
        store.run_of("e' or '1'='1")
