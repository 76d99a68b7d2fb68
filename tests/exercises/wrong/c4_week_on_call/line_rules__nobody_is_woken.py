def line_rules():
    return []
