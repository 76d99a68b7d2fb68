def top(x):
    """Cuts at a factor of ten between one tile's largest value and the next one's."""
    tiles = np.sort(np.asarray(x).max(axis=1).astype(float))
    upper = tiles[len(tiles) // 2 :]
    end = len(upper)
    for i in range(1, len(upper)):
        if upper[i - 1] > 0 and upper[i] > 8 * upper[i - 1]:
            end = i
            break
    return max(float(upper[end - 1]) * 1.1, 1e-9)
