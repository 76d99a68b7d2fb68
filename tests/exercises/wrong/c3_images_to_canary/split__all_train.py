def split(tiles):
    return [False] * len(tiles)
