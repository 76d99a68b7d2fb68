"""Uses up the false rejects exactly, and so breaks their limit on half of the lines."""


def threshold(score, defect, trained, recall, rejects):
    at = np.quantile(score[~trained & ~defect], 1 - rejects)
    return at if np.mean(score[~trained & defect] >= at) >= recall else None
