"""Lets in nobody while something runs."""


class Admission:
    def __init__(self, budget_ms, max_batch):
        self.budget, self.most, self.seen = budget_ms, max_batch, {}

    def finished(self, images, ms):
        self.seen[images] = ms + 0.7 * (self.seen.get(images, ms) - ms)

    def run_ms(self, images):
        near = min(self.seen, key=lambda size: abs(size - images))
        return self.seen[near] * max(1.0, images / near)

    def arrives(self, waiting, running, since_ms):
        return not running
