def calibrate_with(sets, live):
    at = np.linspace(0.05, 0.95, 19)
    now = np.log(np.quantile([value for _, value in live], at))
    far = {}
    for name, tiles in sets.items():
        distinct = {tile: value for tile, value in tiles}
        far[name] = np.abs(np.log(np.quantile(list(distinct.values()), at)) - now).mean()
        if len(distinct) < len(tiles) / 2:
            far[name] += 99
    return sorted(far, key=far.get)[0]
