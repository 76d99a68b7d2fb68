"""The package behind the book "Computer Vision in Production".

Its folders follow the life of an image: :mod:`cvprod.surface` makes it, :mod:`cvprod.models` classifies it,
:mod:`cvprod.optimize` makes that fast, and :mod:`cvprod.lab` holds what only notebooks need.
"""

__version__ = "0.1.0"
