"""Always ships the smallest and fastest, whatever it finds."""


def choose(rows, limits, eur_per_hour):
    return "pipeline", "a"
