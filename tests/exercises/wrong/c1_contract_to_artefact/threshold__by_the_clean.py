def threshold(score, defect, trained, recall, rejects):
    at = np.quantile(score[~trained & ~defect], 1 - rejects)
    return at if np.mean(score[~trained & defect] >= at) >= recall else None
