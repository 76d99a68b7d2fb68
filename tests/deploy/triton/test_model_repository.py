"""The Triton configurations parse strictly, and say what the exported files and the case study say."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from cvprod.runtimes import onnxruntime, tensorrt
from cvprod.surface import CLASSES, INPUT_SIZE

REPOSITORY = Path(__file__).resolve().parents[3] / "deploy/triton/model_repository"
MODELS = [REPOSITORY / name for name in ("steel_onnx", "steel_tensorrt")]

F = descriptor_pb2.FieldDescriptorProto
TYPES = {"str": F.TYPE_STRING, "int": F.TYPE_INT64, "bool": F.TYPE_BOOL, "enum": F.TYPE_ENUM}
#: The part of Triton's model_config.proto that these files use, by its own names (a text file knows no field numbers).
#: "*" repeats a field; a type in capitals is a message of this list. A map is, on paper, a repeated key-value message.
SCHEMA = {
    "Config": "name:str backend:str max_batch_size:int input:*Tensor output:*Tensor instance_group:*Group "
    "parameters:*Parameter dynamic_batching:Batching optimization:Optimization model_warmup:*Warmup",
    "Tensor": "name:str data_type:enum dims:*int label_filename:str",
    "Group": "name:str kind:enum count:int gpus:*int profile:*str",
    "Parameter": "key:str value:Value",
    "Value": "string_value:str",
    "Batching": "preferred_batch_size:*int max_queue_delay_microseconds:int",
    "Optimization": "cuda:Cuda",
    "Cuda": "graphs:bool graph_spec:*Spec",
    "Spec": "batch_size:int",
    "Warmup": "name:str batch_size:int inputs:*Sample",
    "Sample": "key:str value:Zeros",
    "Zeros": "data_type:enum dims:*int zero_data:bool",
}
ENUM = ("NONE", "TYPE_FP32", "TYPE_UINT8", "KIND_CPU", "KIND_GPU")


@pytest.fixture(scope="module")
def config_class():
    file = descriptor_pb2.FileDescriptorProto(name="config.proto", package="t", syntax="proto3")
    names = file.enum_type.add(name="Name")
    for number, name in enumerate(ENUM):
        names.value.add(name=name, number=number)
    for message, fields in SCHEMA.items():
        made = file.message_type.add(name=message)
        for number, field in enumerate(fields.split(), 1):
            name, kind = field.split(":")
            label = F.LABEL_REPEATED if kind[0] == "*" else F.LABEL_OPTIONAL
            kind = kind.lstrip("*")
            entry = made.field.add(name=name, number=number, label=label, type=TYPES.get(kind, F.TYPE_MESSAGE))
            if kind not in TYPES or kind == "enum":
                entry.type_name = ".t.Name" if kind == "enum" else f".t.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Config"))


def test_the_check_refuses_a_misspelt_field(config_class):
    with pytest.raises(text_format.ParseError, match="max_batchsize"):
        text_format.Parse('name: "x" max_batchsize: 3', config_class())


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_configuration_is_what_the_files_are(folder, config_class):
    config = text_format.Parse((folder / "config.pbtxt").read_text(), config_class())
    assert config.name == folder.name
    assert [(t.name, list(t.dims)) for t in config.input] == [(onnxruntime.INPUT_NAME, [1, INPUT_SIZE, INPUT_SIZE])]
    assert [(t.name, list(t.dims)) for t in config.output] == [(onnxruntime.OUTPUT_NAME, [len(CLASSES)])]
    labels = (folder / config.output[0].label_filename).read_text().split()
    assert tuple(labels) == CLASSES
    assert all(size <= config.max_batch_size for size in config.dynamic_batching.preferred_batch_size)


def test_the_engine_takes_the_batches_that_triton_may_send(config_class):
    path = REPOSITORY / "steel_tensorrt/config.pbtxt"
    config = text_format.Parse(path.read_text(), config_class())
    low, usual, high = tensorrt.PROFILE
    assert low == 1 and config.max_batch_size <= high and usual in config.dynamic_batching.preferred_batch_size
    built = [part for part in tensorrt.trtexec("a", "b").split() if "Shapes=" in part]
    assert len(built) == 3 and all(part in path.read_text() for part in built)
