"""Trusts three weeks of routine labels, and asks for an audit only when the picture changes for the first time."""


def decide(line):
    now = line[line.week]
    if now["sharpness"] < 0.8:
        return "mend"
    bar = 0.04 + 2.3 * (0.04 * 0.96 / max(1, now["labels"])) ** 0.5
    if now["audited"]:
        return "retrain" if now["errors"] > bar else "wait"
    if now["labels"] >= 60 and now["errors"] > bar:
        return "retrain"
    before = line[line.week - 1]["drift"] if line.week else 0.0
    return "audit" if now["drift"] > 1 >= before else "wait"
