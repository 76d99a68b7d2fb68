"""How the service is set up: one frozen object, from options, environment (`CVPROD_...`) and defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cvprod import contract

DEFAULT_MODEL = Path(__file__).parent / "models" / "steel.json"


class SettingsError(ValueError):
    """An option is missing or wrong; the message names it."""


def usable_cores() -> int:
    """Cores that this process may use: its CPU affinity and its cgroup's quota, at least one."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, int(quota) / int(period))
    except (OSError, ValueError):
        pass  # no cgroup v2: the affinity is all there is to know
    return max(1, int(cores + 0.5))


def _budget() -> float:
    try:
        return contract.load_contract().p99_latency_ms.limit
    except (OSError, ValueError):
        return 10.0  # lifted out of the book, without its contract


class Settings(BaseModel):
    """Every option of the service: with dashes on the command line, with CVPROD_ and capitals in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="HTTP port; 0 takes a free one")
    grpc_port: int = Field(0, ge=0, le=65535, description="gRPC port; 0 is off")
    workers: int = Field(default_factory=usable_cores, ge=1, le=256, description="processes that compute")
    model: Path = Field(DEFAULT_MODEL, description="model card (.json), or ONNX file with a card beside it")
    model_keys: Path | None = Field(
        None, description="file of public keys; with it a model must be signed by one of them"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="what runs the network")
    state: Path | None = Field(None, description="folder for jobs and model copies; a temporary one by default")
    jobs: Path | None = Field(
        None,
        description="folder for jobs that several services share (a disk whose locks all see); else below the state",
    )
    work_on_jobs: bool = Field(
        True, description="do the jobs in the folder, or only take them in and tell about them (a canary)"
    )
    latency_budget_ms: float = Field(
        default_factory=_budget, gt=0, description="p99 to keep; more than that is refused"
    )
    max_batch: int = Field(8, ge=1, le=256, description="images in one run of the network")
    max_queue: int = Field(256, ge=1, description="images that wait in one worker, whatever the budget")
    max_body_bytes: int = Field(8 * 2**20, ge=1024, description="of one request")
    max_pixels: int = Field(4096 * 4096, ge=96 * 96, description="of one image")
    max_images: int = Field(64, ge=1, description="in one request")
    max_connections: int = Field(512, ge=1, description="open at once, in each worker")
    deadline_ms: float = Field(
        2000.0, gt=0, description="when an answer is too late, unless the request says otherwise"
    )
    idle_seconds: float = Field(30.0, gt=0, description="a connection may be silent so long")
    read_seconds: float = Field(10.0, gt=0, description="a request must have arrived within")
    drain_seconds: float = Field(20.0, gt=0, description="to finish requests after SIGTERM")
    drain_delay: float = Field(0.0, ge=0, description="seconds from not ready to closing the door, for load balancers")
    review_below: Annotated[float, Field(ge=0, le=1)] = Field(
        0.8, description="a probability lower than this asks for a human"
    )
    api_keys: Path | None = Field(None, description="file of hashed keys; without it everybody may ask")
    rate_limit: float = Field(
        0.0, ge=0, description="requests a second for each caller, shared out evenly among the workers; 0 is none"
    )
    output: Literal["rounded", "top1"] | None = Field(
        None, description="tell probabilities to a tenth (rounded), or the label and its review flag alone (top1)"
    )
    watch_queries: bool = Field(False, description="count callers that send almost the same picture again and again")
    attach: str = Field("", description="watchers and filters of your own: module:function, several with commas")
    pin: bool = Field(True, description="bind each worker to a core when there are as many workers as cores")
    log_format: Literal["json", "text"] = Field("json", description="of the log on standard error")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    access_log: bool = Field(True, description="one line for each request")


def parser() -> argparse.ArgumentParser:
    """The command line, made of the fields of Settings."""
    made = argparse.ArgumentParser(prog="python -m cvprod.serving", description="Serve the inspection model.")
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        flag = f"--{name.replace('_', '-')}"
        text = f"{field.description} (default {default})".replace("%", "%%")
        if field.annotation is bool:
            made.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            made.add_argument(flag, default=None, metavar=name.rsplit("_", 1)[-1].upper(), help=text)
    return made


def load(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from a command line and an environment. Raises SettingsError that names the option."""
    environment = os.environ if environment is None else environment
    given: dict[str, Any] = {}
    for name in Settings.model_fields:
        if (value := environment.get(f"CVPROD_{name.upper()}")) not in (None, ""):
            given[name] = value
    options = parser().parse_args(arguments)
    given |= {name: value for name, value in vars(options).items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise SettingsError(
            f"--{name.replace('_', '-')} (or CVPROD_{name.upper()}): {first['msg']}, got {first['input']!r}"
        ) from None
