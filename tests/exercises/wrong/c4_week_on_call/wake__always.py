def wake(alert):
    return True
