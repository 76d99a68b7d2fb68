def choose(m, now, manifests):
    return 0
