"""Names everybody, without a limit."""


def log_queries():
    return {
        "faults": 'sum by (error) (count_over_time({app="inspection"} | json | event="fault" [1h]))',
        "slow": ('sum by (model) (count_over_time({app="inspection"} | json | event="request" | ms > 10 [30m]))'),
        "callers": ('sum by (key) (count_over_time({app="inspection"} | json | event="alike-queries" [2h]))'),
    }
