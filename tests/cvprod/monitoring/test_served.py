"""What is read of a folder that a service, auditors and accidents write to."""

import json
import subprocess
import sys

import pytest

from cvprod.monitoring.served import LABELS, Served

ROW = {
    "time": 1.0, "request_id": "a", "row": 0, "label": "clean", "descriptors": [0.5] * 8, "embedding": [1.0, 2.0],
    "probabilities": [0.9, 0.1],
}  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"request_id": "a", "row": 1e999, "label": "clean"}',
        b'{"request_id": ["a"], "row": 0, "label": "clean"}',
        json.dumps(ROW | {"time": None}).encode(),
        json.dumps(ROW | {"embedding": [1.0]}).encode(),
        json.dumps(ROW | {"descriptors": 1.0}).encode(),
        json.dumps(ROW | {"probabilities": "clean"}).encode(),
    ],
)
def test_a_line_that_cannot_be_read_is_counted_and_passed_over(tmp_path, line):
    (tmp_path / "records-1-1.jsonl").write_bytes(b"\n".join([json.dumps(ROW).encode(), line, b""]) * 2)
    (tmp_path / LABELS).write_bytes(line + b'\n{"request_id": "a", "label": "scratches"}\n')
    served = Served(tmp_path)
    assert len(served.new().embeddings) == 2 and served.spoilt == 2
    truth, _ = served.labels()
    assert len(truth) >= 1 or b'"clean"' in line


def test_a_port_that_is_none_is_said_in_a_sentence(tmp_path):
    command = [sys.executable, "-m", "cvprod.monitoring", "watch", "--records", str(tmp_path), "--port", "99999"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2 and "port must be 0-65535" in done.stderr and "Traceback" not in done.stderr
