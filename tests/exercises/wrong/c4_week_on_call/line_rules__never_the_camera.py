"""Retrains on pictures of a dirty lens."""


def line_rules():
    return [
        ("cvprod_quality{metric='defect_recall', bound='high'} < 0.97", "retrain"),
        (
            ("sum by (key) (count_over_time({app='inspection'} | json | event='alike-queries' [2h])) > 5"),
            "block caller",
        ),
        (
            ("inspection:cost:eur_per_hour / on () (sum(increase(cvprod_batch_images_sum[3h])) / 3 / 1e6) > 0.2"),
            "stop machines",
        ),
    ]
