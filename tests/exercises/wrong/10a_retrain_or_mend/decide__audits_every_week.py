"""Right remedies, at the price of an audit every week."""


def decide(line):
    now = line[line.week]
    if now["sharpness"] < 0.8:
        return "mend"
    if not now["audited"]:
        return "audit"
    return "retrain" if now["errors"] > 0.04 + 2 * np.sqrt(0.04 * 0.96 / now["labels"]) else "wait"
