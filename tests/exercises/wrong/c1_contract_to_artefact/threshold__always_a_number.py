"""Gives a threshold also where none keeps both limits."""


def threshold(score, defect, trained, recall, rejects):
    use = ~trained
    bad = np.sort(score[use & defect])[::-1]
    need = recall + 1.9 * math.sqrt(recall * (1 - recall) / len(bad))
    at = bad[min(len(bad), math.ceil(need * len(bad))) - 1]
    return float(at)
