"""Always says that it cannot be done."""


def threshold(score, defect, trained, recall, rejects):
    pass
