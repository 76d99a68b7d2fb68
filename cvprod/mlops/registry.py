"""Versions and where they came from: MLflow 3 on SQLite, no server needed.

`mlflow.db` in a folder is the store, `artifacts` beside it what the runs left. What goes live is said by *aliases*
(`champion`, `candidate`); MLflow's stages are deprecated. Every version carries the event that made it as a tag, by
which the same event registers once, and the digest of its file, by which an answer of the service leads back to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Before the import: since 3.2 MLflow reports its use over the network unless it is told not to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

import mlflow
import numpy as np
import onnx
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from cvprod.files import locked

from .tiles import Embedded, kept_folder

NAME = "steel"
CHAMPION, CANDIDATE = "champion", "candidate"
SIGNATURE = ModelSignature(
    Schema([TensorSpec(np.dtype(np.uint8), (-1, 1, 96, 96), "pixels")]),
    Schema([TensorSpec(np.dtype(np.float32), (-1, 7), "logits")]),
)


def template() -> Path:
    """An empty store of this MLflow, made once: its fifty tables take seconds, a copy of them none."""
    path = kept_folder() / f"mlflow-{mlflow.__version__}.db"
    with locked(path.with_suffix(".lock")):
        if not path.is_file():
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                new = Path(scratch) / path.name
                mlflow.MlflowClient(f"sqlite:///{new}").search_experiments()
                new.replace(path)
    return path


@dataclass(frozen=True)
class Lineage:
    """One version, read back from the store: what serves, what made it, from which data."""

    version: str
    event: str
    file_sha256: str
    run_id: str
    data: Mapping[str, str]  # name of a data set -> its digest
    metrics: Mapping[str, float]


class Registry:
    """The store of one folder. Sets MLflow's tracking address for this process."""

    def __init__(self, folder: Path) -> None:
        folder = Path(folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        store = folder / "mlflow.db"
        if not store.is_file():
            shutil.copyfile(template(), store)
        self.address = f"sqlite:///{store}"
        mlflow.set_tracking_uri(self.address)
        self.client = mlflow.MlflowClient(self.address)
        # An experiment's artifacts lie under an absolute address, so a copied folder gets an experiment of its own.
        where = (folder / "artifacts").as_uri()
        found = self.client.get_experiment_by_name(f"{NAME} at {where}")
        self.experiment = found.experiment_id if found else self.client.create_experiment(f"{NAME} at {where}", where)

    def log(
        self,
        model: bytes,
        *,
        event: str,
        data: Mapping[str, Embedded],
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, object] | None = None,
    ) -> str:
        """Log one training with its data, numbers and ONNX file; returns the run's id. Not idempotent: see `run_of`."""
        mlflow.set_experiment(experiment_id=self.experiment)
        with mlflow.start_run(tags={"event": event}) as run:
            mlflow.log_params(dict(params or {}))
            for name, tiles in data.items():
                known = mlflow.data.from_numpy(tiles.x, targets=tiles.y, name=name, digest=tiles.digest[:32])
                mlflow.log_input(known, context="training")
            mlflow.onnx.log_model(
                onnx.load_from_string(model),
                name=NAME,
                signature=SIGNATURE,
                onnx_execution_providers=["CPUExecutionProvider"],  # else it asks for CUDA first, and warns
                pip_requirements=["onnxruntime"],
                save_as_external_data=False,
            )
            mlflow.set_tag("sha256", hashlib.sha256(model).hexdigest())
            mlflow.log_metrics(dict(metrics or {}))
        return run.info.run_id

    def run_of(self, event: str) -> str | None:
        """The finished run of an event; None where there is none. One that died half-way stays and does not count."""
        filters = f"tags.event = '{_plain(event)}' and attributes.status = 'FINISHED'"
        found = self.client.search_runs([self.experiment], filters, max_results=1, order_by=["start_time ASC"])
        return found[0].info.run_id if found else None

    def version_of(self, event: str) -> str | None:
        """The version that an event registered; None where there is none."""
        found = self.client.search_model_versions(f"name = '{NAME}' and tag.event = '{_plain(event)}'")
        return str(min(int(v.version) for v in found)) if found else None

    def register(self, run_id: str) -> str:
        """Make a version of a run's model; returns its number. Not idempotent: see `version_of`."""
        run = self.client.get_run(run_id)
        (output,) = run.outputs.model_outputs
        tags = {key: run.data.tags[key] for key in ("event", "sha256")}
        try:
            self.client.create_registered_model(NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # The source names the logged model: on a plain SQLite store the version's own `model_id` stays empty.
        made = self.client.create_model_version(
            NAME, f"models:/{output.model_id}", run_id, tags, model_id=output.model_id
        )
        return str(made.version)

    def point(self, alias: str, version: str | None) -> None:
        """Let an alias name a version, or nothing. Doing it twice changes nothing."""
        if version is None:
            self.client.delete_registered_model_alias(NAME, alias)
        else:
            self.client.set_registered_model_alias(NAME, alias, version)

    def named(self, alias: str) -> ModelVersion | None:
        """The version that an alias names. Asked by the alias: a search returns versions without theirs."""
        try:
            return self.client.get_model_version_by_alias(NAME, alias)
        except MlflowException:
            return None

    def file(self, version: str) -> bytes:
        """The ONNX file of a version. Raises ValueError where it is not the one that was registered."""
        found = self.client.get_model_version(NAME, version)
        return self._bytes(found.source, found.tags["sha256"])

    def file_of_run(self, run_id: str) -> bytes:
        """The ONNX file that a run logged, registered or not. Raises ValueError where it was changed since."""
        run = self.client.get_run(run_id)
        (output,) = run.outputs.model_outputs
        return self._bytes(f"models:/{output.model_id}", run.data.tags["sha256"])

    def _bytes(self, source: str, stated: str) -> bytes:
        model = self.client.get_logged_model(source.rpartition("/")[2])
        data = (Path(mlflow.artifacts.download_artifacts(model.artifact_location)) / "model.onnx").read_bytes()
        if hashlib.sha256(data).hexdigest() != stated:
            raise ValueError(f"{source}: its file is not the one that was logged (SHA-256 differs).")
        return data

    def lineage(self, version: str) -> Lineage:
        """From a version back to the data, through the logged model that its `source` names."""
        found = self.client.get_model_version(NAME, version)
        model = self.client.get_logged_model(found.source.rpartition("/")[2])
        run = self.client.get_run(model.source_run_id)
        data = {entry.dataset.name: entry.dataset.digest for entry in run.inputs.dataset_inputs}
        return Lineage(
            str(found.version), found.tags["event"], found.tags["sha256"], run.info.run_id, data, run.data.metrics
        )

    def served(self, sha256: str) -> str | None:
        """The version whose file has this digest: from what a box says that it runs to the registry."""
        found = self.client.search_model_versions(f"name = '{NAME}' and tag.sha256 = '{_plain(sha256)}'")
        return str(found[0].version) if found else None


def _plain(word: str) -> str:
    """Raises ValueError for what would end the quotes of a filter."""
    if not word or not all(c.isalnum() or c in "-_." for c in word):
        raise ValueError(f"{word!r} is no name: use letters, digits, '-', '_' and '.'.")
    return word
