"""Keeps the recall on these tiles exactly, and so on half of the lines only."""


def threshold(score, defect, trained, recall, rejects):
    use = ~trained
    bad, good = np.sort(score[use & defect])[::-1], score[use & ~defect]
    need = recall
    at = bad[min(len(bad), math.ceil(need * len(bad))) - 1]
    return at if (good >= at).mean() <= rejects else None
