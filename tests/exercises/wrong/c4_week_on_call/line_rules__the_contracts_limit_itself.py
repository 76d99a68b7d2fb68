"""Calls it waste at less than the contract allows."""


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
        (
            ("sum by (key) (count_over_time({app='inspection'} | json | event='alike-queries' [2h])) > 5"),
            "block caller",
        ),
        (
            ("inspection:cost:eur_per_hour / on () (sum(increase(cvprod_batch_images_sum[3h])) / 3 / 1e6) > 0.06"),
            "stop machines",
        ),
    ]
