"""Quantisation by hand against closed forms, and by the libraries against the float network."""

import copy

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from cvprod import optimize, surface
from cvprod.models import evaluate, predictor
from cvprod.optimize import fuse, quantize
from cvprod.optimize.distill import TrainingSet, fit
from cvprod.optimize.student import student

numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)


@settings(deadline=None, derandomize=True)
@given(numbers, numbers, st.integers(3, 12))
def test_round_trip_error_is_at_most_half_a_step_and_zero_is_exact(a, b, bits):
    rule = quantize.Affine.of_range(min(a, b), max(a, b), bits=bits)
    x = torch.linspace(min(a, b, 0.0), max(a, b, 0.0), 257)
    error = (rule.dequantize(rule.quantize(x)) - x).abs().max().item()
    assert error <= rule.scale * 1.01 + 1e-6  # half a step, and up to another half where the zero point was rounded
    assert rule.dequantize(rule.quantize(torch.zeros(1))).item() == 0.0


def test_each_bit_halves_the_error():
    x = torch.rand(20_000) * 2 - 1
    errors = [quantize.minmax(x, bits=bits).error(x) for bits in (4, 6, 8)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.35) and errors[1] / errors[2] == pytest.approx(16, rel=0.2)


def test_observers_differ_where_there_is_an_outlier():
    x = torch.cat([torch.randn(10_000, generator=torch.Generator().manual_seed(0)), torch.tensor([60.0])])
    whole, clipped, best = quantize.minmax(x, bits=4), quantize.percentile(x, bits=4), quantize.least_squares(x, bits=4)
    assert clipped.scale < whole.scale / 3
    assert best.error(x) <= min(whole.error(x), clipped.error(x)) * 1.05


@pytest.mark.parametrize("arguments", [(1.0, 0.0, 8), (0.0, 1.0, 1)])
def test_impossible_ranges_are_refused(arguments):
    with pytest.raises(ValueError, match="bits"):
        quantize.Affine.of_range(*arguments[:2], bits=arguments[2])


def test_a_scale_per_channel_beats_one_scale():
    weight = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.arange(-4, 4).reshape(
        8, 1, 1, 1
    )
    one, each = (quantize.fake_quantize_weight(weight, 8, per_channel=flag) for flag in (False, True))
    assert ((each - weight)[0].abs().max() < weight[0].abs().max() / 100) and one[0].abs().max() == 0


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    model = student(16, (16, 16), (16, 16))
    with torch.no_grad():  # statistics of real pixels, not the initial zeros and ones
        model.train()
        for _ in range(20):
            model(torch.randint(0, 256, (16, 1, 96, 96)))
    return model.eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (32, 1, 96, 96), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(net, tmp_path_factory):
    return fuse.export(net, tmp_path_factory.mktemp("onnx") / "net.onnx")


def test_sensitivity_finds_the_planted_layer_and_leaves_the_network_alone(net, images):
    before = predictor(net)(images)
    few = quantize.sensitivity(net, images, bits=3)
    many = quantize.sensitivity(net, images, bits=8)
    assert set(few) == set(quantize.layers(net)) and all(few[name] > many[name] for name in few)
    assert np.array_equal(predictor(net)(images), before)


def test_sensitivity_names_unknown_layers(net):
    with pytest.raises(ValueError, match="no layer called nowhere"), quantize.quantized_layers(net, {"nowhere": 8}):
        pass


def test_mixed_precision_keeps_the_most_sensitive():
    scores = {"a": 0.1, "b": 3.0, "c": 0.2, "d": 1.0}
    assert quantize.mixed_precision(scores, 0.5) == {"a": 4, "b": 8, "c": 4, "d": 8}
    assert set(quantize.mixed_precision(scores, 0).values()) == {4}


def test_weight_bytes_count_bits(net):
    whole = quantize.weight_bytes(net)
    assert whole == 4 * sum(p.numel() for p in net.parameters())
    named = sum(m.weight.numel() for m in quantize.layers(net).values())
    assert whole - quantize.weight_bytes(net, dict.fromkeys(quantize.layers(net), 8)) == 3 * named


@pytest.mark.parametrize("options", [{}, {"exclude": ("Gemm",), "bytes_in": True}], ids=["plain", "bytes"])
def test_static_int8_is_close_to_float_and_really_integer(net, images, exported, tmp_path, options):
    path = quantize.static_qdq(exported, tmp_path / "q.onnx", images, **options)
    truth, answer = predictor(net)(images), fuse.onnx_predict(path)(images)
    assert np.abs(truth - answer).max() < 0.15 * np.ptp(truth) and not np.array_equal(truth, answer)
    kinds = fuse.operators(path, level="all")
    assert kinds["QLinearConv"] == len(quantize.layers(net)) - 1 and kinds["Conv"] == 0
    first = {node.op_type for node in onnx.load(path).graph.node}
    assert ("Cast" in first) is not options.get("bytes_in", False)


def test_accepting_bytes_changes_no_answer_beyond_the_calibrated_range(net, images, exported, tmp_path):
    wide = images.copy()
    wide[0, 0, 0, :2] = 0, 255  # so that calibration sees the whole range of bytes
    plain = quantize.static_qdq(exported, tmp_path / "a.onnx", wide)
    direct = quantize.accept_bytes(plain, tmp_path / "b.onnx")
    a, b = fuse.onnx_predict(plain)(images), fuse.onnx_predict(direct)(images)
    assert np.abs(a - b).max() < 0.1 * np.ptp(a)
    assert len(onnx.load(direct).graph.node) == len(onnx.load(plain).graph.node) - 4


def test_accept_bytes_refuses_a_graph_that_begins_otherwise(exported, tmp_path):
    with pytest.raises(ValueError, match="does not begin"):
        quantize.accept_bytes(exported, tmp_path / "x.onnx")


def test_unknown_options_are_named(exported, images, tmp_path):
    with pytest.raises(ValueError, match="int4"):
        quantize.static_qdq(exported, tmp_path / "x.onnx", images, activation="int4")
    with pytest.raises(ValueError, match="weight_bits must be 7 or 8, not 4"):
        quantize.static_qdq(exported, tmp_path / "x.onnx", images, weight_bits=4)


def widest_weight(path):
    """The largest magnitude of a quantised kernel."""
    kernels = [onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer if len(t.dims) == 4]
    found = [int(np.abs(kernel.astype(int)).max()) for kernel in kernels if kernel.dtype == np.int8]
    assert found
    return max(found)


def test_weights_keep_to_seven_bits_unless_told_otherwise(exported, images, tmp_path):
    assert widest_weight(quantize.static_qdq(exported, tmp_path / "7.onnx", images)) == 64
    assert widest_weight(quantize.static_qdq(exported, tmp_path / "8.onnx", images, weight_bits=8)) == 127


def test_pair_sums_saturate_exactly_where_seven_bits_end():
    activations = np.arange(256, dtype=np.uint8).repeat(2).reshape(256, 2)
    for weight in range(-128, 128):
        exact, kept = quantize.pair_sums(activations, np.array([weight, weight], np.int8))
        assert np.array_equal(exact[:, 0], 2 * np.arange(256) * weight)
        assert np.array_equal(kept, np.clip(exact, -(2**15), 2**15 - 1))
        assert (kept == exact).all() == (-64 <= weight <= 64)


def test_pair_sums_refuse_other_types():
    with pytest.raises(ValueError, match="uint8 activations of even length and int8 weights, not int8"):
        quantize.pair_sums(np.zeros(2, np.int8), np.zeros(2, np.int8))
    with pytest.raises(ValueError, match=r"\(3,\)"):
        quantize.pair_sums(np.zeros(3, np.uint8), np.zeros(3, np.int8))


def test_the_shipped_file_computes_what_it_says_on_this_cpu():
    """ONNX's reference evaluator adds up in wide integers: kernels that saturate would be far from it."""
    path = optimize.pipeline_path()
    assert widest_weight(path) <= 64
    tiles = surface.tiles("test", 14).images
    (expected,) = ReferenceEvaluator(str(path)).run(None, {onnx.load(path).graph.input[0].name: tiles})
    answer = fuse.onnx_predict(path)(tiles)
    assert np.abs(answer - expected).max() < 0.05 * np.ptp(expected)


def test_torchao_ptq_is_close_to_float(net, images):
    pytest.importorskip("torchao")
    converted = quantize.pt2e(net, images)
    truth, answer = predictor(net)(images), predictor(converted)(images)
    assert 0 < np.abs(truth - answer).max() < 0.15 * np.ptp(truth)


def test_openvino_says_what_it_computes_in(net, images, exported):
    pytest.importorskip("openvino")
    predict, precision = quantize.openvino_predict(exported, precision="f32")
    assert precision == "f32"
    np.testing.assert_allclose(predict(images), predictor(net)(images), atol=1e-3)


def test_half_precision_rounds(net, images):
    truth, answer = predictor(net)(images), quantize.reduced(net, torch.bfloat16)(images)
    assert answer.dtype == np.float32 and 0 < np.abs(truth - answer).max() < 0.1 * np.ptp(truth)
    assert next(net.parameters()).dtype == torch.float32


def test_straight_through_rounds_going_forward_and_not_going_back(net, images):
    plan = dict.fromkeys(quantize.layers(net), 4)
    tiles, before = torch.from_numpy(images[:8]), {name: m.weight.clone() for name, m in quantize.layers(net).items()}
    with quantize.quantized_layers(net, plan), torch.inference_mode():
        rounded = net(tiles)
    with quantize.straight_through(net, plan):
        answer = net(tiles)
        assert torch.allclose(answer, rounded, atol=1e-4)
        answer.square().sum().backward()
        for layer in quantize.layers(net).values():
            assert layer.parametrizations.weight.original.grad.abs().max() > 0
    assert all(torch.equal(layer.weight, before[name]) for name, layer in quantize.layers(net).items())
    with pytest.raises(ValueError, match="no layer called nowhere"), quantize.straight_through(net, {"nowhere": 4}):
        pass


def test_a_network_learns_to_bear_four_bits():
    """What rounding took from the shipped student, training on takes back."""
    net, lesson, test = optimize.load_student(), surface.tiles("train", 210), surface.tiles("test", 140)
    plan, aware = dict.fromkeys(quantize.layers(net), 4), copy.deepcopy(net)
    with quantize.straight_through(aware, plan):
        fit(aware, TrainingSet(lesson.images, lesson.labels), steps=20, batch=32, lr=1e-3)
    accuracies = []
    for model in (net, aware):
        with quantize.quantized_layers(model, plan):
            accuracies.append(evaluate(predictor(model), test).accuracy)
    assert accuracies[1] > accuracies[0]


@pytest.mark.parametrize("kinds", [{"weight": "uint8"}, {"activation": "int8"}])
def test_other_formats_give_the_answers_of_float_too(net, images, exported, tmp_path, kinds):
    path = quantize.static_qdq(exported, tmp_path / "other.onnx", images, weight_bits=8, **kinds)
    zero_points = {t.name: t.data_type for t in onnx.load(path).graph.initializer if t.name.endswith("zero_point")}
    wanted = onnx.TensorProto.UINT8 if "weight" in kinds else onnx.TensorProto.INT8
    assert set(zero_points.values()) <= {wanted, onnx.TensorProto.INT32}
    truth = predictor(net)(images)
    assert np.abs(fuse.onnx_predict(path)(images) - truth).max() < 0.2 * np.abs(truth).max()
