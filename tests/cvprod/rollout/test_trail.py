"""The audit trail: readable, continued, and not to be tidied up unseen."""

import json
from datetime import UTC, datetime

import pytest

from cvprod.rollout.trail import Trail, TrailError, read, sentences


def written(path, n=4):
    diary = Trail(path, clock=lambda: datetime(2026, 11, 29, 10, 0, tzinfo=UTC))
    for number in range(n):
        diary.say("step", f"reason {number}", share=number / 10)
    return path


def test_it_reads_as_sentences_and_goes_on_after_a_restart(tmp_path):
    path = written(tmp_path / "t.jsonl")
    Trail(path).say("promoted", "grün, ohne Befund")
    entries = read(path)
    assert [entry["event"] for entry in entries] == ["step"] * 4 + ["promoted"]
    assert sentences(entries)[1] == "10:00:00.000 step to 10%: reason 1."
    assert sentences(entries)[4].endswith("promoted: grün, ohne Befund.")


def tampered(lines, how):
    entries = [json.loads(line) for line in lines]
    if how == "changed":
        entries[1]["share"] = 1.0
    elif how == "removed":
        del entries[1]
    elif how == "swapped":
        entries[1], entries[2] = entries[2], entries[1]
    elif how == "added":
        entries.insert(2, {**entries[1], "why": "somebody said so"})
    elif how == "no hash":
        del entries[2]["hash"]
    return [json.dumps(entry) for entry in entries]


@pytest.mark.parametrize("how", ["changed", "removed", "swapped", "added", "no hash"])
def test_tampering_is_seen_and_located(tmp_path, how):
    path = written(tmp_path / "t.jsonl")
    path.write_text("\n".join(tampered(path.read_text().splitlines(), how)) + "\n")
    with pytest.raises(TrailError, match=r"line [23] "):
        read(path)
    with pytest.raises(TrailError):
        Trail(path)  # and nothing is appended to it


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"hash": ""}'])
def test_what_is_no_trail_is_said(tmp_path, text):
    (tmp_path / "t.jsonl").write_text(text + "\n")
    with pytest.raises(TrailError, match="line 1"):
        read(tmp_path / "t.jsonl")
