"""Counts a part of a tile at the edge of the strip as a part; it has to be looked at like a whole one."""


def write(said):
    speed = said["strip_speed_m_per_min"] / 60
    tile = said["mm_per_pixel"] * said["tile_pixels"]
    across = said["strip_width_mm"] / tile
    tiles = across * speed * 1000 / tile
    hours = said["hours_per_week"] * said["weeks_per_year"]
    limits = {
        "p99_latency_ms": said["mark_tolerance_mm"] / speed,
        "tiles_per_s": tiles,
        "defect_recall": (1000 - said["missed_of_a_thousand"]) / 1000,
        "false_reject_rate": 1 / (said["old_alarms_one_in"] * said["times_fewer"]),
        "model_size_mb": said["link_kbit_per_s"] / 8000 * said["pause_s"],
        "memory_mb": 1024 * said["box_gb"] * (1 - said["box_share_taken"]),
        "cost_per_million_tiles_eur": said["eur_per_year"] * 1e6 / (tiles * 3600 * hours),
    }
    data = {n: {"limit": v, "says": said["sentences"][n], "why": "by arithmetic, see there"} for n, v in limits.items()}
    data["line"] = dict(
        strip_width_mm=said["strip_width_mm"],
        strip_speed_m_per_s=speed,
        mm_per_pixel=said["mm_per_pixel"],
        tile_pixels=said["tile_pixels"],
        tile_overlap_pixels=said["overlap_pixels"],
        mark_tolerance_mm=said["mark_tolerance_mm"],
        update_link_mbit_per_s=said["link_kbit_per_s"] / 1000,
        update_window_s=said["pause_s"],
        hours_per_year=hours,
        compute_budget_eur_per_year=said["eur_per_year"],
    )
    return data
