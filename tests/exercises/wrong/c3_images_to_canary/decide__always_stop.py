def decide(looks):
    return "stop"
