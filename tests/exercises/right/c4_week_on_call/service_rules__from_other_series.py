"""Resets, the histogram and an earlier window as evidence."""


def service_rules():
    return [
        ("avg(increase(cvprod_throttled_seconds_total[20m])) > 200", "raise cpu"),
        ("sum(resets(cvprod_request_seconds_count[1h])) > 4", "raise memory"),
        (
            (
                "(min by (job) (sum by (instance, job) "
                "(rate(cvprod_requests_total{code=~'5..'}[20m]))) > 1) and on () (count(count by "
                "(version) (last_over_time(cvprod_model_info[2h]))) > 1)"
            ),
            "roll back",
        ),
        (
            (
                "(histogram_quantile(0.9, sum by (le) (rate(cvprod_request_seconds_bucket[15m]))) "
                "> 0.01) and on () (count(count by (version) "
                "(last_over_time(cvprod_model_info[2h]))) > 1)"
            ),
            "roll back",
        ),
        (
            (
                "max(cvprod_queue_images) > 1e9 or (max(sum by (instance) "
                "(rate(cvprod_stage_seconds_sum{stage='infer'}[10m])) / sum by (instance) "
                "(rate(cvprod_stage_seconds_count{stage='infer'}[10m]))) > 0.008)"
            ),
            "replace",
        ),
        (
            (
                "sum(rate(cvprod_requests_total{code='429'}[10m])) > 20 and on () "
                "(sum(rate(cvprod_requests_total{code='429'}[10m] offset 20m)) > 20)"
            ),
            "add replicas",
        ),
    ]
