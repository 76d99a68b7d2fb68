"""Watching a model that serves: what its tiles look like, whether that changes, and whether answers are right.

`descriptors` and `embedding` turn tiles into numbers, `sample` keeps them together, `detectors` compare a window with a
reference, `calibration` gives all of them thresholds from one null distribution, `dials` turns the line's conditions to
find out what is seen. `adwin` and `accuracy` need labels, which come late. `rules` writes Prometheus rules from the
contract: ``python -m cvprod.monitoring rules``.
"""
