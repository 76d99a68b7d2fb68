"""Drops the line of whoever mentions a call of hers."""

import json


def erase(lines, subject):
    def wipe(v):
        if isinstance(v, dict):
            return {k: wipe(x) for k, x in v.items()}
        if isinstance(v, list):
            return [wipe(x) for x in v]
        return "[erased]" if v == subject else v

    def called(v):
        if isinstance(v, dict):
            return v.get("caller") == subject or any(map(called, v.values()))
        return isinstance(v, list) and any(map(called, v))

    out = []
    for line in lines:
        try:
            d = json.loads(line)
        except ValueError:
            d = None
        if not isinstance(d, dict):
            if subject not in line:
                out.append(line)
        elif not called(d):
            out.append(line if wipe(d) == d else json.dumps(wipe(d)))
    return out
