"""Carries a rule that has never been the evidence for anything."""


def service_rules():
    return [
        ("min(rate(cvprod_throttled_seconds_total[10m])) > 0.1", "raise cpu"),
        ("max(max_over_time(cvprod_memory_bytes[1h])) > 0.9 * 512e6", "raise memory"),
        (
            (
                "(sum(rate(cvprod_requests_total{code='500'}[15m])) / "
                "sum(rate(cvprod_requests_total[15m])) > 0.02) and on () (count(count by "
                "(version) (last_over_time(cvprod_model_info[2h]))) > 1)"
            ),
            "roll back",
        ),
        (
            (
                "(min(rate(cvprod_stage_seconds_sum{stage='infer'}[15m]) / "
                "rate(cvprod_stage_seconds_count{stage='infer'}[15m])) > 0.005) and on () "
                "(count(count by (version) (last_over_time(cvprod_model_info[2h]))) > 1)"
            ),
            "roll back",
        ),
        (
            (
                "max(rate(cvprod_stage_seconds_sum{stage='infer'}[15m]) / "
                "rate(cvprod_stage_seconds_count{stage='infer'}[15m])) > 2 * "
                "min(rate(cvprod_stage_seconds_sum{stage='infer'}[15m]) / "
                "rate(cvprod_stage_seconds_count{stage='infer'}[15m]))"
            ),
            "replace",
        ),
        (
            (
                "sum(rate(cvprod_rejected_total{reason='overloaded'}[20m])) / "
                "sum(rate(cvprod_requests_total[20m])) > 0.05"
            ),
            "add replicas",
        ),
        ("cvprod_queue_images > 1e6", "replace"),
    ]
