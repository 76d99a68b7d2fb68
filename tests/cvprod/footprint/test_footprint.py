"""Footprint jobs run in fresh processes and cost what they should."""

import torch

from cvprod import footprint, measure, optimize


def test_imports_cost_memory_and_the_module_itself_next_to_none():
    alone = measure.peak_memory("builtins:abs", 1)
    assert measure.peak_memory(footprint.nothing) < alone + 25e6
    assert measure.peak_memory(footprint.imported, "numpy") > alone + 5e6


def test_file_bytes_are_those_of_the_parameters_and_a_header():
    model = torch.nn.Linear(100, 50).eval()
    assert 4 * 5050 < footprint.file_bytes(model) < 4 * 5050 + 1000
    assert footprint.file_bytes(model.half()) < 2 * 5050 + 1000


def test_a_file_in_its_runtime_needs_more_than_the_runtime_and_less_than_pytorch():
    path = str(optimize.pipeline_path())
    runtime, used = (
        measure.peak_memory(footprint.imported, "onnxruntime"),
        measure.peak_memory(footprint.predict_file, path),
    )
    assert runtime - 5e6 < used < measure.peak_memory(footprint.imported, "torch")
