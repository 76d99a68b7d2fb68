"""Counts in plain Python."""


def verdict(report):
    if not set(report["reference_ids"]).isdisjoint(report["live_ids"]):
        return "leak"
    if not report["check_windows"] or not set(report["null_windows"]).isdisjoint(report["check_windows"]):
        return "in sample"
    n, rate, limit = len(report["check"]), report["rate"], report["limit"]
    false = n - sum(1 for score in report["check"] if score <= limit)
    if false > n * rate + 2 * (n * rate * (1 - rate)) ** 0.5:
        return "cries wolf"
    seen = sum(1 for score in report["planted"] if score > limit)
    if not report["planted"] or seen < 0.9 * len(report["planted"]):
        return "blind"
    return "trust"
