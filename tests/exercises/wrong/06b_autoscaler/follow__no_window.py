"""Down at once."""


def follow(wishes, start, window):
    return list(wishes)
