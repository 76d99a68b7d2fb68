"""The project's own GitHub workflows as a table: when each runs, what its jobs are, what they may write."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import yaml

from cvprod.repo import project_file


def overview(names: Sequence[str]) -> pd.DataFrame:
    """One row a workflow, in the order of `names` (files of .github/workflows without their ending).

    Raises FileNotFoundError for a name that has no file.
    """
    rows = {}
    for name in names:
        flow = yaml.safe_load(project_file(f".github/workflows/{name}.yml").read_text("utf-8"))
        started = flow[True]  # YAML 1.1 reads the key `on` as a truth value
        granted = [job.get("permissions", {}) for job in flow["jobs"].values()]
        rows[name] = {
            "runs on": ", ".join([started] if isinstance(started, str) else started),
            "jobs": ", ".join(flow["jobs"]),
            "may write": ", ".join(sorted({what for may in granted for what, how in may.items() if how == "write"})),
        }
    return pd.DataFrame(rows).T.rename_axis("workflow")
