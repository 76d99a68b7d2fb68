"""Ten milliseconds are longer than ten."""


def log_queries():
    """Name -> query of log lines."""
    return {
        "faults": 'sum by (error) (count_over_time({app="inspection"} | json | event="fault" [1h]))',
        "slow": 'sum by (model) (count_over_time({app="inspection"} | json | event="request" | ms >= 10 [30m]))',
        "callers": 'sum by (key) (count_over_time({app="inspection"} | json | event="alike-queries" [2h])) > 5',
    }
