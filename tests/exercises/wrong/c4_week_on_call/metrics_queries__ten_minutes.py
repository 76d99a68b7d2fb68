"""Percentiles of ten minutes in place of five."""


def metrics_queries():
    """Name -> PromQL."""
    return {
        "slow": """
            1 - sum(rate(cvprod_request_seconds_bucket{le="0.01"}[5m])) / sum(rate(cvprod_request_seconds_count[5m]))
        """,
        "p99": "histogram_quantile(0.99, sum by (le) (rate(cvprod_request_seconds_bucket[10m])))",
        "refused": """
            (sum(rate(cvprod_rejected_total{reason=~"overloaded|deadline-exceeded"}[10m])) or vector(0))
            / sum(rate(cvprod_requests_total[10m]))
        """,
        "worst": 'topk(1, sum by (instance) (rate(cvprod_requests_total{code=~"5.."}[10m])))',
    }
