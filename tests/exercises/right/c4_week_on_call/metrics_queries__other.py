"""By increases, and with the zero at the end."""


def metrics_queries():
    every = "sum(increase(cvprod_request_seconds_count[5m]))"
    quick = 'sum(increase(cvprod_request_seconds_bucket{le="0.01"}[5m]))'
    refused = 'sum(rate(cvprod_rejected_total{reason=~"overloaded|deadline-exceeded"}[10m]))'
    return {
        "slow": f"({every} - {quick}) / {every}",
        "p99": "histogram_quantile(0.99, sum(increase(cvprod_request_seconds_bucket[5m])) by (le))",
        "refused": f"{refused} / sum(rate(cvprod_requests_total[10m])) or vector(0)",
        "worst": 'topk(1, sum(rate(cvprod_requests_total{code=~"500|503|504"}[10m])) by (instance))',
    }
