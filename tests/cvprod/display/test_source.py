"""Listings: the real source, the asked part of it, and an error when that part is gone."""

import inspect
import re

import pytest

from cvprod.display import listing, plots
from cvprod.repo import deploy_file, repository


def _code(text):
    return re.search(r"```python\n(.*)\n```", text, re.S)[1]


class Sample:
    """A class with two methods."""

    def first(self):
        """Say one."""
        one = 1
        return one + 0

    @property
    def second(self):
        """Say two."""
        return 2


def test_listing_is_the_source_itself():
    assert _code(listing.listing(plots.show, doc=True)) == inspect.getsource(plots.show).rstrip()


def test_docstring_is_left_out_and_nothing_else():
    shown, whole = _code(listing.listing(plots.show)), inspect.getsource(plots.show)
    assert '"""' not in shown
    left_out = [line.strip() for line in whole.splitlines() if line.strip() and line not in shown.splitlines()]
    assert left_out[0].startswith('"""') and left_out[-1].endswith('"""')
    assert "display(HTML(" in shown and "plt.close(fig)" in shown


def test_listing_without_docstring_still_runs():
    scope = {}
    exec(_code(listing.listing(plots._number)), {"pd": __import__("pandas"), **vars(plots)}, scope)
    assert scope["_number"](1234.5, None) == plots._number(1234.5, None)


def test_link_names_file_and_lines():
    lines, first = inspect.getsourcelines(plots.show)
    link = f"{repository()}/blob/main/cvprod/display/plots.py#L{first}-L{first + len(lines) - 1}"
    assert link in listing.listing(plots.show, doc=True)
    assert f"[cvprod/display/plots.py, lines {first}–" in listing.listing(plots.show)


def test_part_is_dedented_and_alone():
    code = _code(listing.listing(Sample, part="first"))
    assert code.splitlines()[0] == "def first(self):" and "second" not in code
    assert "return 2" in listing.listing(Sample, part="second")


def test_between_two_lines():
    code = _code(listing.listing(Sample, start="one = 1", end="return one +"))
    assert code.splitlines() == ["one = 1", "return one + 0"]


@pytest.mark.parametrize(
    "wrong", [{"start": "no such line"}, {"start": "return one", "end": "one = 1"}, {"part": "third"}]
)
def test_a_part_that_is_gone_is_an_error(wrong):
    with pytest.raises(ValueError, match=r"no line with|no part named"):
        listing.listing(Sample, **wrong)


def test_what_has_no_source_is_an_error():
    with pytest.raises(ValueError, match="no Python source"):
        listing.listing(len)


def test_foreign_source_is_named_but_not_linked_to_us():
    assert repository() not in listing.listing(inspect.getdoc)


def test_show_displays_markdown(monkeypatch):
    shown = []
    monkeypatch.setattr(listing, "display", shown.append)
    listing.show_source(Sample)
    assert "```python" in shown[0].data


def test_one_line_is_called_a_line():
    found = listing.file_listing("edge/coral/compile.sh", start="COMMAND=(", end="COMMAND=(")
    assert re.match(r"\[deploy/edge/coral/compile\.sh, line (\d+)\]\(\S+#L\1-L\1\)", found)


def test_a_deploy_file_is_shown_as_it_is_and_a_lost_line_is_an_error():
    shown = listing.file_listing("edge/raspberrypi/cvprod-edge.service", start="[Service]", end="WatchdogSec")
    assert "```ini\n[Service]\nType=notify" in shown and shown.rstrip().endswith("WatchdogSec=20\n```")
    first = shown.partition("#L")[2].partition("-")[0]
    assert (deploy_file("edge/raspberrypi/cvprod-edge.service").read_text().splitlines()[int(first) - 1]) == "[Service]"
    with pytest.raises(ValueError, match="no line with"):
        listing.file_listing("contract.yaml", start="nowhere to be found")
    with pytest.raises(FileNotFoundError):
        listing.file_listing("no/such/file.kt")


def test_a_file_of_the_package_that_is_no_module_can_be_shown():
    shown = listing.file_listing("cvprod/serving/oip.proto", start="service GRPC", end="  rpc ModelInfer")
    assert "blob/main/cvprod/serving/oip.proto#L" in shown and "```protobuf\nservice GRPC" in shown
