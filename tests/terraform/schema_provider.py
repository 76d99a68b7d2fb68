"""A provider with the real one's schema and no cloud behind it, for the real terraform.

Terraform asks a provider for its schema, and checks names, types, nesting, and what is required against it by itself.
What a cloud would do, this provider does in a dictionary: it makes up what is computed, remembers what was created and
forgets what was destroyed. Beyond the schema it refuses values that are on no list of allowed ones (values.yaml).

It speaks the plugin protocol (tfplugin6.proto) over gRPC on the loopback; terraform finds it by TF_REATTACH_PROVIDERS,
installs nothing, and asks no registry.
"""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from types import SimpleNamespace

import grpc
import msgspec
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

HERE = Path(__file__).parent
SOURCE = "registry.terraform.io/hashicorp/"
#: A value that is known only after the apply: an extension of msgpack, 0, or 12 with what is known of it.
UNKNOWN = msgspec.msgpack.Ext(0, b"\x00")
NESTING = {"single": 1, "list": 2, "set": 3, "map": 4}
VALUES = yaml.safe_load((HERE / "values.yaml").read_text())
_OPTIONS = [("grpc.max_send_message_length", 1 << 28), ("grpc.max_receive_message_length", 1 << 28)]
_NUMBERS = itertools.count(1)


def _messages() -> tuple[SimpleNamespace, descriptor_pb2.ServiceDescriptorProto]:
    """The classes of tfplugin6.proto, and its service."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "set.binpb")
        code = protoc.main(["protoc", f"-I{HERE}", f"--descriptor_set_out={out}", "tfplugin6.proto"])
        assert code == 0, "tfplugin6.proto does not compile"
        files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)

    def classes(found: object) -> object:
        made = message_factory.GetMessageClass(found)
        for inner in found.nested_types:
            classes(inner)
        return made

    types = pool.FindFileByName("tfplugin6.proto").message_types_by_name
    return SimpleNamespace(**{name: classes(found) for name, found in types.items()}), files.file[0].service[0]


PB, SERVICE = _messages()


def _unpacked(value: object) -> object:
    """The value of a DynamicValue; whatever is unknown is UNKNOWN."""
    if not value.msgpack:
        return json.loads(value.json)
    decoder = msgspec.msgpack.Decoder(ext_hook=lambda code, data: UNKNOWN)
    return decoder.decode(value.msgpack)


def _packed(value: object) -> object:
    return PB.DynamicValue(msgpack=msgspec.msgpack.encode(value))


def _unknown(value: object) -> bool:
    return isinstance(value, msgspec.msgpack.Ext)


def _block(block: dict) -> object:
    """A block of schemas/*.json as the protocol's message."""
    return PB.Schema.Block(
        attributes=[
            PB.Schema.Attribute(
                name=name,
                type=json.dumps(kind).encode(),
                required="r" in flags,
                optional="o" in flags,
                computed="c" in flags,
                write_only=name.endswith("_wo"),
            )
            for name, (kind, flags) in block["attributes"].items()
        ],
        block_types=[
            PB.Schema.NestedBlock(
                type_name=name, block=_block(inner), nesting=NESTING[nesting], min_items=least, max_items=most
            )
            for name, (nesting, least, most, inner) in block["blocks"].items()
        ],
    )


def _items(value: object) -> Iterator[tuple[object, object]]:
    """The blocks of a list, set, map or single block, with their places."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _filled(value: object, block: dict, computed) -> object:
    """`value` with computed(name, type) wherever the cloud decides; nothing stays of what is write-only."""
    if value is None or _unknown(value):
        return value
    out = dict(value)
    for name, (kind, flags) in block["attributes"].items():
        if name.endswith("_wo"):
            out[name] = None
        elif _unknown(out.get(name)) or (out.get(name) is None and "c" in flags):
            out[name] = computed(name, kind)
    for name, (nesting, _, _, inner) in block["blocks"].items():
        found = out.get(name)
        if nesting == "single":
            out[name] = _filled(found, inner, computed)
        elif isinstance(found, list):
            out[name] = [_filled(item, inner, computed) for item in found]
        elif isinstance(found, dict):
            out[name] = {key: _filled(item, inner, computed) for key, item in found.items()}
    return out


def _made(name: str, kind: object) -> object:
    """What the cloud might have set: one element in every collection, so that references into it find something."""
    if kind == "string":
        return f"{name}-{next(_NUMBERS)}"
    if kind == "number":
        return next(_NUMBERS)
    if kind in ("bool", "dynamic"):
        return False if kind == "bool" else None
    if kind[0] in ("list", "set"):
        return [_made(name, kind[1])]
    if kind[0] == "map":
        return {"key": _made(name, kind[1])}
    return {field: _made(field, inner) for field, inner in kind[1].items()}


def _wrong(value: object, block: dict, allowed: dict, path: tuple) -> Iterator[tuple[tuple, object, list]]:
    """(path, value, allowed) of every value that is on a list of values.yaml and not on it."""
    for name, rule in allowed.items():
        found = value.get(name) if isinstance(value, dict) else None
        if name in block["attributes"]:
            for at, one in _items(found) if isinstance(found, (list, dict)) else [(None, found)]:
                if one is not None and not _unknown(one) and one not in rule:
                    yield (*path, name, *(() if at is None else (at,))), one, rule
        elif name in block["blocks"]:
            nesting, _, _, inner = block["blocks"][name]
            for at, item in [(None, found)] if nesting == "single" else _items(found):
                yield from _wrong(item, inner, rule, (*path, name, *(() if at is None else (at,))))


class Provider:
    """The methods of the protocol, each with its request; `there` is what exists: (resource, id) -> its state."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.schema = json.loads((HERE / f"schemas/{name}.json").read_text())
        self.there: dict[tuple[str, str], dict] = {}
        self._read: dict[tuple[str, bytes], object] = {}

    def GetProviderSchema(self, request):
        def schema(block):
            return PB.Schema(block=_block(block))

        return PB.GetProviderSchema.Response(
            provider=schema(self.schema["provider"]),
            resource_schemas={name: schema(block) for name, block in self.schema["resources"].items()},
            data_source_schemas={name: schema(block) for name, block in self.schema["data_sources"].items()},
        )

    def ValidateProviderConfig(self, request):
        return PB.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request):
        answer, block = PB.ValidateResourceConfig.Response(), self.schema["resources"][request.type_name]
        allowed = VALUES.get(request.type_name, {})
        for path, value, rule in _wrong(_unpacked(request.config), block, allowed, ()):
            where = ".".join(str(step) for step in path if not isinstance(step, int))
            told = answer.diagnostics.add(severity=1, summary=f'"{value}" is no value of {where}')
            told.detail = f"It is one of {', '.join(map(str, rule))}."
            for step in path:
                kind = "element_key_int" if isinstance(step, int) else "attribute_name"
                told.attribute.steps.add(**{kind: step})
        return answer

    def ValidateDataResourceConfig(self, request):
        return PB.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request):
        return PB.ConfigureProvider.Response()

    def UpgradeResourceState(self, request):
        return PB.UpgradeResourceState.Response(upgraded_state=_packed(json.loads(request.raw_state.json)))

    def ReadResource(self, request):
        state = _unpacked(request.current_state)
        return PB.ReadResource.Response(new_state=_packed(self.there.get((request.type_name, state["id"]))))

    def PlanResourceChange(self, request):
        block = self.schema["resources"][request.type_name]
        new = _filled(_unpacked(request.proposed_new_state), block, lambda name, kind: UNKNOWN)
        return PB.PlanResourceChange.Response(planned_state=_packed(new))

    def ApplyResourceChange(self, request):
        kind, block = request.type_name, self.schema["resources"][request.type_name]
        prior, new = _unpacked(request.prior_state), _filled(_unpacked(request.planned_state), block, _made)
        if prior is not None:
            self.there.pop((kind, prior["id"]))
        if new is not None:
            self.there[kind, new["id"]] = new
        return PB.ApplyResourceChange.Response(new_state=_packed(new))

    def ReadDataSource(self, request):
        asked = request.type_name, request.config.msgpack
        if asked not in self._read:  # who asks the same again is told the same
            block = self.schema["data_sources"][request.type_name]
            self._read[asked] = _filled(_unpacked(request.config), block, _made)
        return PB.ReadDataSource.Response(state=_packed(self._read[asked]))

    def GetFunctions(self, request):
        return PB.GetFunctions.Response()

    def StopProvider(self, request):
        return PB.StopProvider.Response()


def _handlers(provider: Provider) -> object:
    def handler(name: str) -> object:
        act, message = getattr(provider, name), getattr(PB, name)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: act(request),
            request_deserializer=message.Request.FromString,
            response_serializer=message.Response.SerializeToString,
        )

    methods = {method.name: handler(method.name) for method in SERVICE.method}
    return grpc.method_handlers_generic_handler("tfplugin6.Provider", methods)


class Serving:
    """A provider served from this process while the context lasts; `env` is what terraform finds it by."""

    def __init__(self, name: str) -> None:
        self.provider = Provider(name)
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=_OPTIONS)
        self._server.add_generic_rpc_handlers((_handlers(self.provider),))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        address = {"Network": "tcp", "String": f"127.0.0.1:{port}"}
        attached = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": os.getpid(), "Test": True, "Addr": address}
        self.env = {"TF_REATTACH_PROVIDERS": json.dumps({SOURCE + name: attached})}

    def __enter__(self) -> Serving:
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None)
