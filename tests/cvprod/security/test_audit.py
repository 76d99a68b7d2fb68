"""The audit log shows what was changed, put in, removed and, with an anchor, what was cut."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from cvprod.security.audit import Anchor, AuditError, Log, pseudonym, read_anchors, save_anchor

KEY = b"k" * 32


@pytest.fixture
def log(tmp_path):
    made = Log(tmp_path / "audit.log")
    for number in range(6):
        made.append("test", "look", pseudonym(f"person {number}", KEY), n=number)
    return made


def _rewrite(log, change):
    lines = log.path.read_text().splitlines()
    log.path.write_text("".join(f"{line}\n" for line in change(lines)))


def test_what_was_written_verifies_with_and_without_anchors(log):
    first = log.anchor(KEY)
    log.append("test", "more")
    assert log.verify() == log.verify([first, log.anchor(KEY)], KEY) == 7
    assert [entry["details"].get("n") for entry in log.entries()] == [0, 1, 2, 3, 4, 5, None]


@pytest.mark.parametrize("line", range(6))
@pytest.mark.parametrize("field", ["time", "actor", "action", "subject", "details"])
def test_a_changed_field_is_found_in_its_line(log, line, field):
    def change(lines):
        entry = json.loads(lines[line])
        entry[field] = {"n": 99} if field == "details" else 1.0 if field == "time" else "x"
        return [*lines[:line], json.dumps(entry), *lines[line + 1 :]]

    _rewrite(log, change)
    with pytest.raises(AuditError, match=f"line {line + 1} was changed"):
        log.verify()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:2] + lines[3:], "line 3 does not follow line 2"),
        (lambda lines: [*lines[:3], lines[1], *lines[3:]], "line 4 does not follow line 3"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1 does not follow line 0"),
        (lambda lines: [*lines[:2], "{}", *lines[2:]], "line 3 of the log is no entry"),
    ],
    ids=["removed", "repeated", "swapped", "put in"],
)
def test_lines_out_of_place_are_found(log, change, said):
    _rewrite(log, change)
    with pytest.raises(AuditError, match=said):
        log.verify()


def test_a_cut_tail_passes_a_bare_chain_and_not_an_anchor(log):
    anchor = log.anchor(KEY)
    _rewrite(log, lambda lines: lines[:4])
    assert log.verify() == 4, "this is the hole that anchors are for"
    with pytest.raises(AuditError, match=r"tail was cut.*6 lines, there are 4"):
        log.verify([anchor], KEY)


def test_a_chain_that_was_written_anew_passes_without_an_anchor_only(log, tmp_path):
    anchor = log.anchor(KEY)
    forged = Log(tmp_path / "forged.log")
    for _ in range(6):
        forged.append("test", "something else")
    log.path.write_bytes(forged.path.read_bytes())
    assert log.verify() == 6
    with pytest.raises(AuditError, match="written anew"):
        log.verify([anchor], KEY)


def test_an_anchor_cannot_be_made_without_its_key(log):
    anchor = log.anchor(b"another key" * 3)
    with pytest.raises(AuditError, match="not signed with this key"):
        log.verify([anchor], KEY)
    with pytest.raises(AuditError, match="not signed"):
        log.verify([Anchor(4, log.anchor(KEY).head, log.anchor(KEY).mac)], KEY)


def test_an_empty_log_can_be_anchored(tmp_path):
    log = Log(tmp_path / "new.log")
    anchor = log.anchor(KEY)
    log.append("test", "first")
    assert anchor.lines == 0 and log.verify([anchor], KEY) == 1


def test_nothing_is_written_behind_a_half_line(log):
    log.path.write_bytes(log.path.read_bytes()[:-5])
    with pytest.raises(AuditError, match="last line is cut"):
        log.append("test", "more")


def test_many_writers_make_one_chain(tmp_path):
    path = tmp_path / "audit.log"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: Log(path).append("test", "look", n=n), range(24)))
    assert Log(path).verify() == 24
    assert {entry["details"]["n"] for entry in Log(path).entries()} == set(range(24))


def test_people_stand_in_it_by_a_pseudonym_that_needs_the_key(log):
    assert b"person" not in log.path.read_bytes()
    assert pseudonym("Ada", KEY) == pseudonym("Ada", KEY) != pseudonym("Ada", b"other")
    assert pseudonym("Ada", KEY) != pseudonym("ada", KEY)


def test_anchors_are_kept_in_a_file(log, tmp_path):
    path = tmp_path / "anchors.jsonl"
    save_anchor(log.anchor(KEY), path)
    log.append("test", "more")
    save_anchor(log.anchor(KEY), path)
    assert [anchor.lines for anchor in read_anchors(path)] == [6, 7]
    path.write_text("{}\n")
    with pytest.raises(AuditError, match="line 1 is no anchor"):
        read_anchors(path)
