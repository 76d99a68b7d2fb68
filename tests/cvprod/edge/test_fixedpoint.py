"""The fixed-point type against exact arithmetic, and the network against hls4ml's compiled C++."""

import itertools
import shutil
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvprod.edge.fixedpoint import Fixed, network

types = st.tuples(st.integers(2, 16), st.integers(1, 16)).filter(lambda t: t[1] <= t[0])


def exact(value: Fraction, fixed: Fixed) -> Fraction:
    """The standard's words, in rational numbers."""
    step = Fraction(1, 2**fixed.fraction)
    whole = value / step
    code = ceil(whole - Fraction(1, 2)) if fixed.rounding == "RND" else floor(whole)
    if fixed.rounding == "RND" and whole - floor(whole) == Fraction(1, 2):
        code = ceil(whole)  # ties go up
    top = 2 ** (fixed.width - 1)
    code = min(max(code, -top), top - 1) if fixed.overflow == "SAT" else (code + top) % (2 * top) - top
    return code * step


@settings(max_examples=200, deadline=None)
@given(types, st.integers(-(2**20), 2**20), st.sampled_from(["RND", "TRN"]), st.sampled_from(["SAT", "WRAP"]))
def test_encoding_is_exact_arithmetic(kind, numerator, rounding, overflow):
    fixed, value = Fixed(*kind, rounding, overflow), Fraction(numerator, 2**9)
    assert Fraction(float(fixed.decode(fixed.encode(np.array(float(value)))))) == exact(value, fixed)


@settings(max_examples=200, deadline=None)
@given(types, st.integers(-(2**30), 2**30), st.integers(0, 20), st.sampled_from(["RND", "TRN"]))
def test_recoding_by_shifts_equals_encoding_the_number(kind, code, fraction, rounding):
    fixed = Fixed(*kind, rounding, "SAT")
    direct = fixed.encode(np.array(code * 2.0**-fraction))
    assert fixed.recode(np.array(code), fraction) == direct


def test_worked_examples():
    nearest, dropped = Fixed(4, 2), Fixed(4, 2, "TRN", "WRAP")  # steps of 0.25, range -2 .. 1.75
    assert nearest.decode(nearest.encode([0.30, -0.30, 0.375, -0.375, 5, -5])).tolist() == [
        0.25, -0.25, 0.5, -0.25, 1.75, -2.0,
    ]  # fmt: skip
    assert dropped.decode(dropped.encode([0.30, -0.30, 2.0, 4.0])).tolist() == [0.25, -0.5, -2.0, 0.0]
    assert nearest.spec == "ap_fixed<4,2,AP_RND,AP_SAT>"
    for wrong in ({"width": 2, "integer": 3}, {"width": 0, "integer": 0}, {"width": 8, "integer": 4, "rounding": "UP"}):
        with pytest.raises(ValueError, match=r"width|rounding"):
            Fixed(**wrong)


@pytest.fixture(scope="module")
def tiny():
    import torch

    from cvprod.edge import fpga

    torch.manual_seed(0)
    net = fpga.TinyNet().eval()
    images = np.random.default_rng(0).uniform(-2, 2, (40, fpga.CHANNELS, fpga.SIZE, fpga.SIZE)).astype(np.float32)
    return net, images


def test_many_bits_approach_the_float_network(tiny):
    import torch

    from cvprod.edge import fpga

    net, images = tiny
    with torch.no_grad():
        floats = net(torch.from_numpy(images)).numpy()
    errors = [
        np.abs(network(fpga.layers(net), images, Fixed(width, 4)) - floats).max() for width in (8, 12, 16, 20, 24)
    ]
    assert all(a > 4 * b for a, b in itertools.pairwise(errors))  # 4 bits less: a tenth of the precision
    assert errors[-1] < 1e-4


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++ to compile hls4ml's C++")
@pytest.mark.parametrize("fixed", [Fixed(8, 3), Fixed(7, 2, "TRN", "WRAP")], ids=lambda f: f.spec)
def test_hls4ml_computes_the_same_bits(tiny, tmp_path, fixed):
    """The second type overflows on purpose: the wrapped bits must agree as well."""
    from cvprod.edge import fpga

    net, images = tiny
    wild = images * 1.5 if fixed.overflow == "WRAP" else images
    emulated = fpga.Emulation(net, fixed, tmp_path / "hls")(wild)
    reference = network(fpga.layers(net), wild, fixed)
    assert np.array_equal(emulated.astype(np.float64), reference)
    assert np.ptp(reference) > 0.1


def test_a_circuit_trades_multipliers_for_cycles():
    from cvprod.edge import fpga

    net = fpga.TinyNet()
    parallel = fpga.circuit(net, 1)
    weights = [m.weight.numel() for m in net if hasattr(m, "weight")]
    assert [stage.multipliers for stage in parallel] == weights
    assert [stage.cycles for stage in parallel] == [24 * 24 + 11 * 11, 11 * 11 + 5 * 5, 5 * 5 + 1]
    for wanted in (2, 6, 30, 300):
        stages = fpga.circuit(net, wanted)
        for stage, count in zip(stages, weights, strict=True):
            assert stage.multipliers * stage.reuse == count  # hls4ml takes factors that divide the weights
            assert sum(s.multipliers for s in stages) < sum(weights) / (wanted / 2)
        assert max(s.cycles for s in stages) > max(s.cycles for s in parallel)
