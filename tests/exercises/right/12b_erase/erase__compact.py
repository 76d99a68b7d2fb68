"""Writes changed lines without spaces."""

import json


def erase(lines, subject):
    hit = False

    def wipe(v):
        nonlocal hit
        match v:
            case dict():
                return {k: wipe(x) for k, x in v.items()}
            case list():
                return [wipe(x) for x in v]
            case str() if v == subject:
                hit = True
                return "[erased]"
        return v

    out = []
    for line in lines:
        hit = False
        try:
            d = json.loads(line)
        except ValueError:
            d = line
        if type(d) is not dict:
            out += [] if subject in line else [line]
            continue
        if d.get("caller") == subject:
            continue
        new = wipe(d)
        out.append(json.dumps(new, separators=(",", ":"), ensure_ascii=False) if hit else line)
    return out
