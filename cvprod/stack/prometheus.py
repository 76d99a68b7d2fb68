"""A real Prometheus, a real Alertmanager and somebody who is told: what watches over the service, for a while.

Debian and Ubuntu: `apt install prometheus prometheus-alertmanager`. Both run here on loopback with the project's files,
with other addresses and, for a notebook, faster clocks.
"""

from __future__ import annotations

import http.server
import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from cvprod.repo import deploy_file
from cvprod.stack.program import Program, free_port

NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}


def binary(name: str) -> str | None:
    """Path of prometheus, promtool, amtool or alertmanager (Debian calls it prometheus-alertmanager), or None."""
    return next((path for each in NAMES.get(name, (name,)) if (path := shutil.which(each))), None)


def missing() -> str:
    """What is not installed, as a sentence that says what to do; empty where all is there."""
    absent = [name for name in ("prometheus", "promtool", "alertmanager", "amtool") if binary(name) is None]
    if not absent:
        return ""
    return f"{', '.join(absent)} not found: apt install prometheus prometheus-alertmanager (Debian, Ubuntu)"


def version(name: str) -> tuple[int, int]:
    """Major and minor version of one of the programs. Raises RuntimeError where it is missing."""
    if (path := binary(name)) is None:
        raise RuntimeError(missing())
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr)
    if not found:
        raise RuntimeError(f"{name} does not tell its version: {(done.stdout + done.stderr)[:200]}")
    return int(found[1]), int(found[2])


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


@dataclass(frozen=True)
class Notice:
    """One alert as the webhook was told of it. `at`: when, in seconds since 1970. status: firing or resolved."""

    at: float
    receiver: str
    name: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Webhook:
    """Somebody who is told: a server on loopback that keeps what comes. A context manager; `address` is where."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                now = time.time()
                owner.notices += [
                    Notice(now, body["receiver"], one["labels"]["alertname"], one["status"], one["labels"],
                           one["annotations"])
                    for one in body["alerts"]
                ]  # fmt: skip
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def told(self, name: str, status: str = "firing") -> Notice | None:
        """The first notice of this alert, or None."""
        return next((one for one in self.notices if one.name == name and one.status == status), None)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def alertmanager_config(address: str, folder: Path, **clocks: str) -> str:
    """deploy/monitoring/alertmanager.yml with a webhook's address in place of the secrets.

    clocks: group_wait and group_interval for all routes. Before 0.26 there was no `url_file`: then the addresses go
    into the text.
    """
    text = deploy_file("monitoring/alertmanager.yml").read_text(encoding="utf-8")
    in_file = version("alertmanager") >= (0, 26)
    for name in sorted(set(re.findall(r"url_file: /run/secrets/(\w+)", text))):
        url, file = f"{address}/{name}", folder / name
        file.write_text(url)
        text = text.replace(f"url_file: /run/secrets/{name}", f"url_file: {file}" if in_file else f"url: {url}")
    for name, value in clocks.items():
        text = re.sub(rf"\b{name}: \w+", f"{name}: {value}", text)
    return text


class Alertmanager(Program):
    """A real Alertmanager with the project's routes, as a context manager. `port` is where it listens.

    Args:
        webhook: address that all receivers get.
        clocks: group_wait="1s", group_interval="2s" and the like.

    Raises RuntimeError where it is missing or does not start.
    """

    def __init__(self, webhook: str, **clocks: str) -> None:
        if (program := binary("alertmanager")) is None:
            raise RuntimeError(missing())
        folder = tempfile.TemporaryDirectory(prefix="cvprod-alertmanager-")
        config = Path(folder.name) / "alertmanager.yml"
        config.write_text(alertmanager_config(webhook, Path(folder.name), **clocks))
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        command = [
            program, f"--config.file={config}", f"--storage.path={folder.name}/data", "--cluster.listen-address=",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]  # fmt: skip
        super().__init__("alertmanager", command, lambda: _get(f"{self.address}/-/ready"), folder=folder)

    def alerts(self) -> list[dict]:
        """What it holds now, as its API tells."""
        return json.loads(_get(f"{self.address}/api/v2/alerts"))


class Prometheus(Program):
    """A real Prometheus, as a context manager. `address` is where to ask.

    Args:
        jobs: name of a job -> addresses (host:port) to scrape.
        rules: name of a file -> its text.
        alertmanager: host:port that is told of alerts.
        every: seconds between two scrapes and between two evaluations.

    Raises RuntimeError where it is missing or does not start.
    """

    def __init__(
        self, jobs: Mapping[str, Iterable[str]], rules: Mapping[str, str] | None = None, *,
        alertmanager: str | None = None, every: int = 1,
    ) -> None:  # fmt: skip
        if (program := binary("prometheus")) is None:
            raise RuntimeError(missing())
        folder = tempfile.TemporaryDirectory(prefix="cvprod-prometheus-")
        home = Path(folder.name)
        (home / "rules").mkdir()
        for name, text in (rules or {}).items():
            (home / "rules" / name).write_text(text)
        config: dict = {
            "global": {
                "scrape_interval": f"{every}s",
                "scrape_timeout": f"{every}s",
                "evaluation_interval": f"{every}s",
            },
            "rule_files": ["rules/*.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": list(targets)}]} for job, targets in jobs.items()
            ],
        }
        if alertmanager:
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
        (home / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        command = [
            program, f"--config.file={home / 'prometheus.yml'}", f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", f"--rules.alert.resend-delay={every}s",
        ]  # fmt: skip
        super().__init__("prometheus", command, lambda: _get(f"{self.address}/-/ready"), folder=folder)

    def _ask(self, path: str, **words: object) -> dict:
        address = f"{self.address}/api/v1/{path}?" + urllib.parse.urlencode(words)
        try:
            answer = json.loads(_get(address))
        except urllib.error.HTTPError as error:  # it says in JSON what is wrong with the query
            with error:
                raise ValueError(json.loads(error.read()).get("error", str(error))) from None
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> dict[tuple[tuple[str, str], ...], float]:
        """Value of every series at a moment: labels as sorted pairs -> number. Raises ValueError for wrong PromQL."""
        words = {"query": expression} | ({} if at is None else {"time": at})
        data = self._ask("query", **words)
        if data["resultType"] == "scalar":
            return {(): float(data["result"][1])}
        return {tuple(sorted(one["metric"].items())): float(one["value"][1]) for one in data["result"]}

    def value(self, expression: str, at: float | None = None) -> float:
        """The only value of an expression; nan where there is none. Raises ValueError where there are several."""
        found = list(self.query(expression, at).values())
        if len(found) > 1:
            raise ValueError(f"{expression} has {len(found)} values: add them up, or name the labels")
        return found[0] if found else float("nan")

    def range(self, expression: str, start: float, end: float, step: float = 1.0) -> dict[tuple, np.ndarray]:
        """Every series between two moments: labels -> float64 (points, 2) of time and value."""
        data = self._ask("query_range", query=expression, start=start, end=end, step=step)
        return {
            tuple(sorted(one["metric"].items())): np.array([(t, float(v)) for t, v in one["values"]])
            for one in data["result"]
        }

    def alerts(self) -> dict[str, tuple[str, float]]:
        """Alerts that are pending or firing: name -> state, and since when it is active [s since 1970]."""
        from datetime import datetime

        return {
            one["labels"]["alertname"]: (one["state"], datetime.fromisoformat(_micro(one["activeAt"])).timestamp())
            for one in self._ask("alerts")["alerts"]
        }

    def rules(self) -> list[dict]:
        """Every rule with its health and last error."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]


def _micro(stamp: str) -> str:
    """Go writes up to nine digits of a second, Python reads six."""
    return re.sub(r"(\.\d{6})\d*", r"\1", stamp).replace("Z", "+00:00")


def promtool(*words: object) -> subprocess.CompletedProcess:
    """Run promtool, such as promtool("test", "rules", file). Raises RuntimeError where it is missing."""
    if (program := binary("promtool")) is None:
        raise RuntimeError(missing())
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)


def rule_cases(*names: str) -> str:
    """Run some of the cases of deploy/monitoring/rules_test.yml, by the beginning of their names.

    Returns promtool's output where all pass. Raises AssertionError with it where one fails, ValueError for a name that
    no case has and RuntimeError where promtool is missing.
    """
    test = deploy_file("monitoring/rules_test.yml")
    head, *cases = test.read_text(encoding="utf-8").split("\n  - name: ")
    chosen = [case for case in cases if case.startswith(names)]
    if unknown := [name for name in names if not any(case.startswith(name) for case in cases)]:
        raise ValueError(f"no rule test is called {', '.join(unknown)}")
    with tempfile.TemporaryDirectory(prefix="cvprod-promtool-") as folder:
        file = Path(folder) / "some.yml"
        text = head.replace("- rules/", f"- {test.parent.as_posix()}/rules/")
        file.write_text(text + "".join(f"\n  - name: {case}" for case in chosen) + "\n")
        done = promtool("test", "rules", file)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
    return done.stdout.strip()
