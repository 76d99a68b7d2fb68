"""Memory, processor time and throttling, as the kernel tells them."""

import subprocess
import sys

import pytest

from cvprod.serving import resources

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux' /proc")


USE = """
import time
from cvprod.serving import resources

collected = lambda: {family.name: family.samples[0].value for family in resources.Resources().collect()}
before = collected()
ballast, until = bytearray(b"x") * 40_000_000, time.process_time() + 0.3
while time.process_time() < until:
    pass
after = collected()
print(*(after[name] - before[name] for name in ("cvprod_memory_bytes", "cvprod_cpu_seconds")))
"""


def test_memory_and_time_grow_with_use():
    """In a process of its own: one that has run other tests has memory to spare, and need not ask for more."""
    told = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, timeout=120, check=True).stdout
    memory, seconds = map(float, told.split())
    assert memory > 30e6 and seconds > 0.2


@pytest.mark.parametrize(
    ("name", "text", "seconds"),
    [
        ("cpu.stat", "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n", 2.5),
        ("cpu/cpu.stat", "nr_periods 0\nthrottled_time 1500000000\n", 1.5),
    ],
)
def test_throttling_is_read_in_both_forms_of_control_groups(tmp_path, name, text, seconds):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert resources.throttled(tmp_path) == seconds


def test_what_is_not_there_is_not_invented(tmp_path):
    assert resources.throttled(tmp_path) is None
    (tmp_path / "cpu.stat").write_text("usage_usec 5\n")
    assert resources.throttled(tmp_path) is None
