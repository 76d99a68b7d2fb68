"""Replaces the name wherever it is: adam becomes [erased]m."""


def erase(lines, subject):
    return [line.replace(subject, "[erased]") for line in lines if json.loads(line).get("caller") != subject]
