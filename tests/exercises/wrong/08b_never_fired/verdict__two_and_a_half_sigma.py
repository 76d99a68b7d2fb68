"""Allows two and a half standard deviations."""


def verdict(report):
    if set(report["reference_ids"]) & set(report["live_ids"]):
        return "leak"
    if not report["check_windows"] or set(report["null_windows"]) & set(report["check_windows"]):
        return "in sample"
    check, planted = (np.asarray(report[name], float) for name in ("check", "planted"))
    rate, n = report["rate"], len(check)
    if np.sum(~(check <= report["limit"])) > rate * n + 2.5 * math.sqrt(rate * (1 - rate) * n):
        return "cries wolf"
    return "trust" if len(planted) and np.mean(planted > report["limit"]) >= 0.9 else "blind"
