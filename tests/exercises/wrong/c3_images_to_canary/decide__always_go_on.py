def decide(looks):
    return "go on"
