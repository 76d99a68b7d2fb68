"""The capacity, whatever the limit."""


def highest_rate(limit, service):
    return 0.0 if limit <= np.mean(service) else 1 / float(np.mean(service))
