"""Counts the tiles of the training, which the network knows by heart."""


def threshold(score, defect, trained, recall, rejects):
    use = trained | True
    bad, good = np.sort(score[use & defect])[::-1], score[use & ~defect]
    need = recall + 1.9 * math.sqrt(recall * (1 - recall) / len(bad))
    at = bad[min(len(bad), math.ceil(need * len(bad))) - 1]
    return at if (good >= at).mean() <= rejects else None
