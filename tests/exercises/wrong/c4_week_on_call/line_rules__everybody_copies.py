"""Blocks a caller for one line in four hours, which everybody has."""


def line_rules():
    return [
        (
            (
                "cvprod_quality{metric='defect_recall', bound='high'} < 0.97 and on () "
                "(max(cvprod_drift_descriptor_ks{descriptor=~'sharpness|smear|clipping'}) > 0.3)"
            ),
            "mend camera",
        ),
        (
            (
                "cvprod_quality{metric='defect_recall', bound='high'} < 0.97 and on () "
                "(max(cvprod_drift_descriptor_ks{descriptor=~'grain|contrast'}) > 0.3)"
            ),
            "retrain",
        ),
        ("count_over_time({app='inspection'} | json | event='alike-queries' [4h])", "block caller"),
        (
            ("inspection:cost:eur_per_hour / on () (sum(increase(cvprod_batch_images_sum[3h])) / 3 / 1e6) > 0.2"),
            "stop machines",
        ),
    ]
