def wake(alert):
    return False
