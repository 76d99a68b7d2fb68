def threshold(score, defect, trained, recall, rejects):
    use = ~trained
    bad, good = np.sort(score[use & defect])[::-1], score[use & ~defect]
    need = 1 - int(__import__("scipy.stats").stats.binom.ppf(0.02, len(bad), 1 - recall)) / len(bad)
    at = bad[min(len(bad), math.ceil(need * len(bad))) - 1]
    return at if (good >= at).mean() <= rejects else None
