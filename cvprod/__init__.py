"""The package behind the book "Computer Vision in Production".

Its folders follow the life of an image, and each imports only what stands before it here (a contract of import-linter
in pyproject.toml, checked by `lint-imports` and the tests):

* `files`, `repo`, `quiet`, `measure`, `contract`, `claims`, `ledger`, `reference`: what everything is written, timed
  and judged by;
* `surface` makes the image, `models` classify it, `footprint`, `optimize` and `runtimes` make that small and fast;
* `edge` and `serving` deploy it;
* `monitoring`, `rollout` and `mlops` keep it right, `costs` and `security` judge it;
* `traffic`, `realtime`, `stack` and `display` are for notebooks: load, concurrency, real programs, plots;
* `book`, `bench` and `exercises` build and check.
"""

__version__ = "0.1.0"
