"""Of equals the later by name, not by place."""


def waste(bill):
    out = set()
    for line in bill:
        if line.get("hold"):
            continue
        w = line["what"]
        if w == "machine" and line["role"] == "batch" and line["idle_days"] > 7:
            out.add(line["id"])
        if w == "disk" and not line["attached"] and line["idle_days"] > 30:
            out.add(line["id"])
        if w == "balancer" and not line["targets"]:
            out.add(line["id"])
        if w == "logs" and line["keep_days"] is None and line["audit"] is False:
            out.add(line["id"])
        if (
            w == "snapshot"
            and line["age_days"] > 90
            and any(
                o["what"] == "snapshot" and o["source"] == line["source"] and o["age_days"] < line["age_days"]
                for o in bill
            )
        ):
            out.add(line["id"])
    s = [line for line in bill if line["what"] == "machine" and line["role"] == "serves"]
    for v in {line["service"] for line in s}:
        o = [line for line in s if line["service"] == v]
        i = sorted(
            [line for line in o if line["cpu"] < 5 and not line.get("hold")],
            key=lambda line: (line["eur"], line["id"]),
            reverse=True,
        )
        out |= {line["id"] for line in i[: max(0, len(o) - 2)]}
    return out
