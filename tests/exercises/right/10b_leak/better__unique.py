def better(champion, candidate, coils):
    coils = np.asarray(coils)
    gain = np.asarray(candidate).astype(int) - np.asarray(champion).astype(int)
    means = [gain[coils == c].mean() for c in np.unique(coils)]
    return len(means) >= 5 and bool(np.mean(means) - 2 * np.std(means, ddof=1) / len(means) ** 0.5 > 0)
