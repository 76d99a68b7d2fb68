"""No planted change, no complaint."""


def verdict(report):
    if set(report["reference_ids"]) & set(report["live_ids"]):
        return "leak"
    if not report["check_windows"] or set(report["null_windows"]) & set(report["check_windows"]):
        return "in sample"
    rate, n = report["rate"], len(report["check"])
    if sum(not s <= report["limit"] for s in report["check"]) > rate * n + 2 * math.sqrt(rate * (1 - rate) * n):
        return "cries wolf"
    return "blind" if any(not s > report["limit"] for s in report["planted"]) else "trust"
