"""Divides counters as they stand: a share of all the time since the start, and wrong after a restart."""


def metrics_queries():
    return {
        "slow": ('1 - sum(cvprod_request_seconds_bucket{le="0.01"}) / sum(cvprod_request_seconds_count)'),
        "p99": "histogram_quantile(0.99, sum by (le) (rate(cvprod_request_seconds_bucket[5m])))",
        "refused": (
            '(sum(rate(cvprod_rejected_total{reason=~"overloaded|deadline-exceeded"}[10m])) '
            "or vector(0)) / sum(rate(cvprod_requests_total[10m]))"
        ),
        "worst": 'topk(1, sum by (instance) (rate(cvprod_requests_total{code=~"5.."}[10m])))',
    }
