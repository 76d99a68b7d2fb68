"""A machine's speed, as it might be measured."""

import pytest

from cvprod.costs import Speed, load_prices


@pytest.fixture(scope="session")
def prices():
    return load_prices()


@pytest.fixture(scope="session")
def speed():
    return Speed(tiles_per_s=900.0, p99_ms=4.0, call_ms={1: 3.4, 16: 41.0}, cold_ms=900.0)
