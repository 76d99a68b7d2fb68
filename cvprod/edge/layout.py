"""Publish a retrained network in the file layout of the one before, so that a delta finds every weight in its place.

A converter promises the same answers, not the same file: tensor names become shorter or longer with what it merged, and
every weight behind them moves. Word by word (`delta`), such a file has nothing in common with the last one.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def keep(old: bytes, new: bytes) -> bytes:
    """The .tflite file `old` with the weights of `new`: the same answers as `new`, byte for byte laid out like `old`.

    Only what lies in buffers (weights, constants) and the names of tensors may differ. Raises ValueError where anything
    else does: another operator, shape or option, or other scales, which INT8 files hold outside the buffers. Publish
    such a file as it is.
    """
    from ai_edge_litert import schema_py_generated as schema

    for data, which in ((old, "old"), (new, "new")):
        if data[4:8] != b"TFL3":
            raise ValueError(f"the {which} file is no .tflite file")
    before, after = (schema.Model.GetRootAsModel(data, 0) for data in (old, new))
    graphs = (_plain(schema.ModelT.InitFromObj(model)) for model in (before, after))
    if (where := _difference(*graphs)) is not None:
        raise ValueError(f"the two files differ in more than their weights ({where}): publish the new one as it is")
    kept, start = np.frombuffer(old, np.uint8).copy(), _address(np.frombuffer(old, np.uint8))
    for number in range(before.BuffersLength()):
        source, target = after.Buffers(number), before.Buffers(number)
        if source.Offset() > 1:
            raise ValueError(
                "weights lie behind the flatbuffer, as in files beyond 2 GB: publish the new file as it is"
            )
        if source.DataLength() == 0:
            continue
        offset = _address(target.DataAsNumpy()) - start
        kept[offset : offset + target.DataLength()] = source.DataAsNumpy()
    return kept.tobytes()


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _plain(thing: Any) -> Any:
    """A model as nested dicts and lists, without names of tensors, and with the length of a buffer for its bytes."""
    if isinstance(thing, list | tuple):
        return [_plain(item) for item in thing]
    if isinstance(thing, np.ndarray):
        return thing.tolist()
    if not hasattr(thing, "__dict__"):
        return thing
    kind = type(thing).__name__
    fields = {key: value for key, value in vars(thing).items() if (kind, key) != ("TensorT", "name")}
    if kind == "BufferT":
        fields["data"] = 0 if thing.data is None else len(thing.data)
    return {key: _plain(value) for key, value in fields.items()}


def _difference(one: Any, other: Any, path: str = "model") -> str | None:
    """Where two nested structures differ first; None where they are equal."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{path}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{i}]", a, b) for i, (a, b) in enumerate(zip(one, other, strict=True))]
    else:
        return None if type(one) is type(other) and one == other else path
    return next((found for where, a, b in pairs if (found := _difference(a, b, where)) is not None), None)
