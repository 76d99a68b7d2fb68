"""A score that is not a number is no alarm."""


def verdict(report):
    if set(report["reference_ids"]) & set(report["live_ids"]):
        return "leak"
    if not report["check_windows"] or set(report["null_windows"]) & set(report["check_windows"]):
        return "in sample"
    rate, n = report["rate"], len(report["check"])
    if sum(s > report["limit"] for s in report["check"]) > rate * n + 2 * math.sqrt(rate * (1 - rate) * n):
        return "cries wolf"
    seen = [s > report["limit"] for s in report["planted"]]
    return "trust" if seen and np.mean(seen) >= 0.9 else "blind"
