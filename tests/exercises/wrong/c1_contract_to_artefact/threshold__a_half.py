def threshold(score, defect, trained, recall, rejects):
    return 0.5
