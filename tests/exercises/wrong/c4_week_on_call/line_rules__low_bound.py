"""Acts when the low bound is below the contract."""


def line_rules():
    """List of (query, action), the first that finds something decides."""
    recall = "cvprod_quality{metric='defect_recall', bound='low'} < 0.97"
    images = "sum(increase(cvprod_batch_images_sum[3h])) / 3"
    copies = "count_over_time({app='inspection'} | json | event='alike-queries' [2h])"
    return [
        (
            f"{recall} and on () (max(cvprod_drift_descriptor_ks{{descriptor=~'sharpness|smear|clipping'}}) > 0.3)",
            "mend camera",
        ),
        (f"{recall} and on () (max(cvprod_drift_descriptor_ks{{descriptor=~'grain|contrast'}}) > 0.3)", "retrain"),
        (f"sum by (key) ({copies}) > 5", "block caller"),
        (f"inspection:cost:eur_per_hour / on () ({images} / 1e6) > 0.2", "stop machines"),
    ]
