"""Without a regular expression."""


def mend_gate(gate):
    query = gate["query"].rstrip()
    if query.endswith(")"):
        head, found, tail = query[:-1].rpartition("vector")
        inside = tail.strip()
        if found and inside.startswith("(") and ")" not in inside and head.split()[-1:] == ["or"]:
            query = head.rstrip().removesuffix("or").rstrip()
    return {**copy.deepcopy(gate), "query": query, "thresholdRange": {"min": 0, "max": gate["limit"]}}
