"""How the service is set up: one frozen object, from options, environment (`CVPROD_...`) and defaults."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from cvprod import contract

DEFAULT_MODEL = Path(__file__).parent / "models" / "steel.json"


class SettingsError(ValueError):
    """An option is missing or wrong; the message names it."""


def authority(host: str, port: int) -> str:
    """Host and port as a URL has them: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def usable_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: its CPU affinity and the quotas of its cgroups, at least one.

    A half counts as a whole, 1.5 cores are two: two workers that share them answer more than one that uses one. Below
    that the kernel would stop both in the middle of a picture more often than the second worker helps.
    """
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return max(1, int(min([cores, *_quotas(root)]) + 0.5))


def _quotas(root: Path) -> list[float]:
    """CPU quotas, in cores, of this process's cgroup and of all above it: v2, or v1's controller cpu."""
    found, base = [], root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mounts = [base, base / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [base / controllers, base / "cpu", base / "cpu,cpuacct"]
        else:
            continue
        for mount in mounts:
            folder = mount / path.strip("/")
            while (
                True
            ):  # a container may see the host's path here, but only its own group there: then the mount is left
                found += _quota(folder)
                if folder == mount or mount not in folder.parents:
                    break
                folder = folder.parent
    return found


def _quota(folder: Path) -> list[float]:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return []
    return [int(quota) / int(period)] if quota.isdigit() and period.isdigit() and int(period) else []


def _budget() -> float:
    try:
        return contract.load_contract().p99_latency_ms.limit
    except (OSError, ValueError):
        return 10.0  # lifted out of the book, without its contract


def _line(name: str, otherwise: int) -> int:
    try:
        return getattr(contract.load_contract().line, name)
    except (OSError, ValueError):
        return otherwise  # lifted out of the book, without its contract


class Settings(BaseModel):
    """Every option of the service: with dashes on the command line, with CVPROD_ and capitals in the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(8000, ge=0, le=65535, description="HTTP port; 0 takes a free one")
    grpc_port: int = Field(0, ge=0, le=65535, description="gRPC port; 0 is off")
    workers: int = Field(default_factory=usable_cores, ge=1, le=256, description="processes that compute")
    spare: bool = Field(True, description="with one worker, keep a second one ready that takes over if it dies")
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
    max_images: int = Field(64, ge=1, description="in one request; also tiles in one frame")
    tile_pixels: int = Field(
        default_factory=lambda: _line("tile_pixels", 224),
        ge=16,
        description="edge of a frame's tiles",
    )
    tile_overlap: int = Field(
        default_factory=lambda: _line("tile_overlap_pixels", 64), ge=0, validate_default=True,
        description="pixels that neighbouring tiles of a frame share, less than a tile",
    )  # fmt: skip
    max_connections: int = Field(512, ge=1, description="open at once, in each worker")
    deadline_ms: float = Field(
        2000.0, gt=0, description="when an answer is too late, unless the request says otherwise"
    )
    idle_seconds: float = Field(
        75.0, gt=0, description="a connection may be silent so long; longer than the balancer in front keeps it (60 s)"
    )
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
    cors_origins: str = Field(
        "", description="origins whose pages may ask from a browser: https://HOST, several with commas, * for all"
    )
    records: Path | None = Field(None, description="folder for records of what was served, without pictures")
    records_share: float = Field(
        0.01, ge=0, le=1, description="of the pictures, those whose descriptors and embedding are recorded"
    )
    tracing: str = Field("", description="address of an OTLP collector, such as http://otelcol:4318/v1/traces")
    tracing_share: float = Field(
        0.01, ge=0, le=1, description="of the requests that are traced, beside slow and failed ones and those asked for"
    )
    output: Literal["rounded", "top1"] | None = Field(
        None, description="tell probabilities to a tenth (rounded), or the label and its review flag alone (top1)"
    )
    watch_queries: bool = Field(False, description="count callers that send almost the same picture again and again")
    shadow: str = Field(
        "", pattern=r"^(http://[\w.-]+(:\d+)?)?$",
        description="another version's address (http://host:port) that gets a copy of every tile, and answers nobody",
    )  # fmt: skip
    attach: str = Field("", description="watchers and filters of your own: module:function, several with commas")
    pin: bool = Field(True, description="bind each worker to a core when there are as many workers as cores")
    log_format: Literal["json", "text"] = Field("json", description="of the log on standard error")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="what is logged")
    access_log: bool = Field(True, description="one line for each request")

    @field_validator("tile_overlap")
    @classmethod
    def _less_than_a_tile(cls, value: int, info: ValidationInfo) -> int:
        if value >= info.data.get("tile_pixels", value + 1):
            raise ValueError(f"must be less than a tile, {info.data['tile_pixels']} pixels")
        return value


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
