def choose(rows, limits, eur_per_hour):
    return None
