def decide(looks):
    return "promote" if len(looks) >= 36 else "go on"
