"""What converters say about themselves stays off the page; what went wrong does not."""

import logging
import os
import sys
import warnings

import pytest
import rich
from rich.progress import track

from cvprod.quiet import quiet


def test_output_is_silenced_and_errors_come_through(capfd):
    with quiet(native=True):
        print("chatter")
        os.write(2, b"native chatter\n")
    with pytest.raises(KeyError), quiet(native=True):
        raise KeyError("x")
    print("heard")
    out = capfd.readouterr()
    assert "chatter" not in out.out + out.err and "heard" in out.out


def test_warnings_and_records_below_error_are_held_back(caplog):
    with warnings.catch_warnings(), quiet():
        warnings.simplefilter("error")
        logging.getLogger("library").warning("chatter")
        logging.getLogger("library").error("a fault")
    assert [record.message for record in caplog.records] == ["a fault"]
    logging.getLogger("library").warning("heard")
    assert caplog.records[-1].message == "heard"


def test_a_converter_that_sets_the_level_of_all_loggers_is_undone(caplog):
    with quiet():
        logging.root.setLevel(logging.ERROR)
    logging.getLogger("library").warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]


def test_bars_draw_nothing_and_no_widget_and_are_back_afterwards(capsys):
    console = rich.get_console()
    with quiet():
        assert list(track(range(3))) == [0, 1, 2]
        assert not console.is_jupyter  # where it is true, rich draws with a widget, however quiet it is
    assert capsys.readouterr().out == "" and not console.quiet
    assert list(track(range(3), description="heard")) == [0, 1, 2]
    assert "heard" in capsys.readouterr().out


def test_converters_report_to_nobody():
    assert sys.modules["openvino_telemetry"] is None  # they then take their own stub
