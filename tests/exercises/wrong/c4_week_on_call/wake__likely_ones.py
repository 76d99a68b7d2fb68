"""Calls when the alert is likely, whatever it costs."""


def wake(alert):
    return (sum(alert["past"]) + 0.7) / (len(alert["past"]) + 2) > 0.5
