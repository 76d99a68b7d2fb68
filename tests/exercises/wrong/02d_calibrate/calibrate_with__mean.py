"""Compares means alone: twelve tiles repeated fifty times have one, too."""


def calibrate_with(sets, live):
    def mean(tiles):
        return np.mean([value for _, value in tiles])

    return min(sets, key=lambda name: abs(mean(sets[name]) - mean(live)))
