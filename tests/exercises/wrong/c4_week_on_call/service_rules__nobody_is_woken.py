def service_rules():
    return []
