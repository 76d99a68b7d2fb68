"""One bettor each way, written out, and no promotion while anything is unknown."""


def decide(history):
    harm = good = 0.0
    most_harm = most_good = 0.0
    for d in history:
        if d is None:
            break
        harm += np.log1p(0.3 * d)
        good += np.log1p(0.6 * (0.025 - d))
        most_harm, most_good = max(most_harm, harm), max(most_good, good)
    if most_harm >= np.log(20):
        return "stop"
    return "promote" if most_good >= np.log(20) and None not in history else "hold"
