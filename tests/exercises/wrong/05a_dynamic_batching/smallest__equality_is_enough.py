"""A batch that makes exactly the rate is taken for enough."""


def smallest_batch(rate, fixed, each):
    if rate * each >= 1:
        return None
    return max(1, math.ceil(rate * fixed / (1 - rate * each) - 1e-9))
