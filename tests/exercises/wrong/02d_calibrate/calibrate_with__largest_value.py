def calibrate_with(sets, live):
    return max(sets, key=lambda name: max(value for _, value in sets[name]))
