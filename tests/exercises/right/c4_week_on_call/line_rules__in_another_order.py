"""Another order, so that one rule needs no second condition; images copied in place of lines."""


def line_rules():
    return [
        (
            ("inspection:cost:eur_per_hour > on () (2 * 0.1 * sum(rate(cvprod_batch_images_sum[2h])) * 3600 / 1e6)"),
            "stop machines",
        ),
        (
            (
                "sum by (key) (count_over_time({app='inspection'} | json | event='alike-queries' "
                "| images > 100 [1h])) > 2"
            ),
            "block caller",
        ),
        (
            (
                "(max(cvprod_drift_descriptor_ks{descriptor=~'grain|contrast'}) > 0.3) and on () "
                "(cvprod_quality{bound='high'} < 0.97)"
            ),
            "retrain",
        ),
        ("cvprod_quality{bound='high', metric='defect_recall'} < 0.97", "mend camera"),
    ]
