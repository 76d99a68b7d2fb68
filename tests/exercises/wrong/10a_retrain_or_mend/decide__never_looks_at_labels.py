"""Mends a blurred lens and retrains on any other drift: never learns of a change of mind."""


def decide(line):
    now = line[line.week]
    if now["sharpness"] < 0.8:
        return "mend"
    done = [week for week, what in line.done if what == "retrain"]
    return "retrain" if now["drift"] > 1 and line.week - max(done, default=-9) > 6 else "wait"
