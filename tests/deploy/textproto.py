"""Strict messages for text protos whose .proto files no package brings: written down by field, then parsed for real."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

F = descriptor_pb2.FieldDescriptorProto
TYPES = {"str": F.TYPE_STRING, "int": F.TYPE_INT64, "bool": F.TYPE_BOOL, "enum": F.TYPE_ENUM}


def classes(schema, enum=()):
    """Message name to message class.

    schema: message name to its fields, "name:type" each, by their own names (a text file knows no field numbers). "*"
    repeats a field; a type in capitals is a message of this schema. A map is, on paper, a repeated key-value message.
    enum: every value that a field of type enum may have.
    """
    file = descriptor_pb2.FileDescriptorProto(name="schema.proto", package="t", syntax="proto3")
    names = file.enum_type.add(name="Name") if enum else None
    for number, name in enumerate(enum):
        names.value.add(name=name, number=number)
    for message, fields in schema.items():
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
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}")) for name in schema}
