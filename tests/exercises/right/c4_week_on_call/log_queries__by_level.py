"""The same lines found by level and text."""


def log_queries():
    return {
        "faults": (
            'sum by (error) (count_over_time({app="inspection"} | json | level="error" | event=~"fault" [60m]))'
        ),
        "slow": ('sum by (model) (count_over_time({app="inspection"} | json | ms > 10.0 | event="request" [1800s]))'),
        "callers": (
            'sum by (key) (count_over_time({app="inspection"} |= "alike-queries" | json | key=~".+" [120m])) >= 6'
        ),
    }
