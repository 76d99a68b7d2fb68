"""What three scanners say of files: prints {scanner: {file: verdict}} as JSON. Runs in the environment `scanners`."""

import contextlib
import io
import json
import sys
from pathlib import Path


def picklescan(path):
    from picklescan.scanner import SafetyLevel, scan_file_path

    found = scan_file_path(path)
    levels = {item.safety for item in found.globals}
    if found.issues_count or SafetyLevel.Dangerous in levels:
        return "dangerous"
    return "suspicious" if SafetyLevel.Suspicious in levels else "nothing found"


def fickling(path):
    from fickling.analysis import Severity, check_safety
    from fickling.fickle import Pickled

    with Path(path).open("rb") as file:
        severity = check_safety(Pickled.load(file)).severity
    return "nothing found" if severity == Severity.LIKELY_SAFE else severity.name.lower().replace("_", " ")


def modelscan(path):
    from modelscan.modelscan import ModelScan

    found = ModelScan().scan(path)
    issues = [issue["severity"].lower() for issue in found["issues"]]
    if issues:
        return issues[0]
    return "not looked at" if found["summary"]["skipped"]["total_skipped"] else "nothing found"


def main(paths):
    said = {}
    for scanner in (picklescan, fickling, modelscan):
        said[scanner.__name__] = {}
        for path in paths:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                try:
                    verdict = scanner(path)
                except Exception as error:
                    verdict = f"cannot read it ({type(error).__name__})"
            said[scanner.__name__][path] = verdict
    print(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1:])
