def culprit(before, during):
    """By steps alone: of the two that run beside each other, only what outlasts the other counts."""

    def table(spans):
        rows = {}
        for s in spans:
            row = rows.setdefault(s["trace"], dict.fromkeys([*STEPS, "request"], 0.0))
            if s["name"] in row:
                row[s["name"]] = s["end"] - s["start"]
        for row in rows.values():
            row["features"] = row["features"] if row["features"] > row["infer"] else 0.0
            row["infer"] = row["infer"] if not row["features"] else 0.0
        return rows

    was, now = table(before), table(during)
    order = sorted(now.values(), key=lambda row: row["request"])
    slow = order[-max(3, len(order) // 50) :]
    usual = {name: np.mean([row[name] for row in was.values()]) for name in STEPS}
    return max(STEPS, key=lambda name: np.mean([row[name] for row in slow]) - usual[name])
