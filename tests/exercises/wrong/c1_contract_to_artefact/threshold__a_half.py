"""Takes a half, as if the scores were probabilities."""


def threshold(score, defect, trained, recall, rejects):
    return 0.5
