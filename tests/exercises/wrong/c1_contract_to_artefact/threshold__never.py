def threshold(score, defect, trained, recall, rejects):
    pass
