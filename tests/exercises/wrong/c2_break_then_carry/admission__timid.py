"""Uses less than half of the budget, and refuses whom it could have served."""


class Admission:
    def __init__(self, budget_ms, max_batch):
        self.budget, self.most, self.seen = budget_ms, max_batch, {}

    def finished(self, images, ms):
        self.seen[images] = ms + 0.7 * (self.seen.get(images, ms) - ms)

    def run_ms(self, images):
        near = min(self.seen, key=lambda size: abs(size - images))
        return self.seen[near] * max(1.0, images / near)

    def arrives(self, waiting, running, since_ms):
        if not running:
            return True
        if not self.seen:
            return False
        mine, others = min(waiting + 1, self.most), math.ceil((waiting + 1) / self.most) - 1
        return 2 * self.run_ms(mine) + others * self.run_ms(self.most) <= 0.4 * self.budget
