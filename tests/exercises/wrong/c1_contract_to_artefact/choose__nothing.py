"""Always says that nothing keeps the contract."""


def choose(rows, limits, eur_per_hour):
    return None
