"""Systems outside: the same key does it once, from however many processes; no key does it each time."""

import subprocess
import sys

import pytest

from cvprod.mlops.outside import Outside


def test_a_key_names_one_request(tmp_path):
    book = Outside(tmp_path / "outside.db")
    first = book.do("label order", {"event": "e", "tiles": 7}, "e:label")
    assert book.do("label order", {"tiles": 7, "event": "e"}, "e:label") == first
    assert book.count("label order") == 1
    assert book.do("notice", {"event": "e"}, "e:label") != first, "a key belongs to one system"
    with pytest.raises(ValueError, match="another request"):
        book.do("label order", {"event": "e", "tiles": 8}, "e:label")
    assert book.count("label order") == 1


def test_without_a_key_everything_happens(tmp_path):
    book = Outside(tmp_path / "outside.db")
    assert len({book.do("notice", {"event": "e"}) for _ in range(3)}) == 3
    assert [row["event"] for row in book.log("notice")] == ["e"] * 3


def test_processes_that_ask_at_the_same_time_agree(tmp_path):
    words = "from cvprod.mlops.outside import Outside; import sys; print(Outside(sys.argv[1]).do('s', {'a': 1}, 'k'))"
    started = [
        subprocess.Popen([sys.executable, "-c", words, tmp_path / "outside.db"], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert len({process.communicate()[0] for process in started}) == 1
    assert all(process.returncode == 0 for process in started)
    assert Outside(tmp_path / "outside.db").count("s") == 1
