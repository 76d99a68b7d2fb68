"""The package behind the book "Computer Vision in Production".

Its folders follow the life of an image, and each imports only what stands before it here (a contract of import-linter
in pyproject.toml, checked by `lint-imports` and the tests):

* `files`, `repo`, `quiet`, `measure`, `contract`, `claims`, `ledger`, `reference`: what everything is written, timed
  and judged by;
* `surface` makes the image, `models` classify it, `footprint`, `optimize` and `runtimes` make that small and fast;
* `edge` and `serving` deploy it, and `stack` starts real programs for a while;
* `monitoring`, `rollout` and `mlops` keep it right, `costs` and `security` judge it;
* `traffic`, `realtime` and `display` are for notebooks: load, concurrency, plots;
* `book`, `bench` and `exercises` build and check.
"""

__version__ = "0.1.0"
