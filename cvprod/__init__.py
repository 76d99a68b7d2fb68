"""The package behind the book "Computer Vision in Production".

Its folders follow the life of an image, and import only what stands before them: `surface` makes it, `models`
classify it, `runtimes` and `optimize` make that fast, `edge` and `serving` deploy it, `monitoring`, `rollout` and
`mlops` keep it right, `costs` and `security` judge it. Notebooks also use `display`, `traffic`, `realtime` and
`stack`; `book`, `exercises` and `bench` build and check.
"""

__version__ = "0.1.0"
