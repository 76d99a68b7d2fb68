"""The device data have sources and a date, and the estimate is the arithmetic that it claims to be."""

import datetime

import pytest

from cvprod.edge import devices


def test_every_device_has_sources_and_the_list_was_checked_within_two_years():
    found = devices.boards()
    assert len(found) >= 4 and len({board.name for board in found}) == len(found)
    date = datetime.date.fromisoformat(devices.checked())
    age = datetime.date.today() - date
    assert age < datetime.timedelta(days=730), "compare devices.yaml with its sources again and set the date"


def test_estimate_scales_by_peak_and_multiplies_by_power():
    board = devices.Board("b", "c", 1.0, 8, 4, 512, 2.0, ("https://x",))
    here = board.estimate(0.001, 16e9)
    assert here.seconds == pytest.approx(0.002)
    assert here.joules == pytest.approx(0.004)
    assert here.tiles_per_battery(1.0) == pytest.approx(900_000)


@pytest.mark.parametrize(
    ("seconds", "tiles_per_s", "memory_mb", "expected"),
    [
        (0.003, 100, 512, "likely"),
        (0.004, 100, 512, "measure"),  # a threefold error would break 10 ms
        (0.029, 10, 512, "measure"),
        (0.031, 10, 512, "out"),
        (0.003, 500, 512, "measure"),  # 4 cores make 1333 tiles a second, a third of which is too few
        (0.003, 5000, 512, "out"),
        (0.003, 100, 513, "out"),
    ],
)
def test_a_verdict_leaves_room_for_the_estimates_error(seconds, tiles_per_s, memory_mb, expected):
    board = devices.Board("b", "c", 1.0, 8, 4, 512, 2.0, ("https://x",))
    guess = devices.Estimate(seconds, 0.0)
    assert board.verdict(guess, latency_s=0.01, tiles_per_s=tiles_per_s, memory_mb=memory_mb) == expected


def test_a_device_without_source_is_an_error(tmp_path, monkeypatch):
    entry = "{name: b, core: c, clock_ghz: 1, flop_per_cycle: 8, cores: 1, memory_mb: 1, power_w: 1}"
    (tmp_path / "devices.yaml").write_text(f"checked: 2026-01-01\ndevices: [{entry}]\n")
    monkeypatch.setattr(devices, "__file__", str(tmp_path / "devices.py"))
    with pytest.raises(ValueError, match="no source"):
        devices.boards()
