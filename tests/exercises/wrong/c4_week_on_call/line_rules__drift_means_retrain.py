"""Retrains whenever anything drifts, whether the answers suffer or not."""


def line_rules():
    return [
        ("cvprod_drift_score > on (instance, job, detector) cvprod_drift_limit", "retrain"),
        (
            ("sum by (key) (count_over_time({app='inspection'} | json | event='alike-queries' [2h])) > 5"),
            "block caller",
        ),
        (
            ("inspection:cost:eur_per_hour / on () (sum(increase(cvprod_batch_images_sum[3h])) / 3 / 1e6) > 0.2"),
            "stop machines",
        ),
    ]
