"""With increase, without, or and scalar."""


def metrics_queries():
    return {
        "slow": (
            "(sum(increase(cvprod_request_seconds_count[5m])) - "
            'sum(increase(cvprod_request_seconds_bucket{le="0.01"}[5m]))) / '
            "sum(increase(cvprod_request_seconds_count[5m]))"
        ),
        "p99": (
            "histogram_quantile(0.99, sum without (instance, job, route) (increase(cvprod_request_seconds_bucket[5m])))"
        ),
        "refused": (
            'sum(rate(cvprod_rejected_total{reason="overloaded"}[10m]) or '
            'rate(cvprod_rejected_total{reason="deadline-exceeded"}[10m]) or vector(0)) / '
            "scalar(sum(rate(cvprod_requests_total[10m])))"
        ),
        "worst": ('topk(1, sum without (code, route, job) (rate(cvprod_requests_total{code!~"[1-4].."}[10m])))'),
    }
