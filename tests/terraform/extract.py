"""Provider schemas, trimmed to the resources that terraform/ uses, out of PyPI packages into schemas/*.json.

The CDK Terrain packages (cdktn-provider-google and its like, MPL-2.0) are generated from what the real providers answer
to `terraform providers schema -json`: names, types, nesting, and what is required, optional or computed. They carry it
as JavaScript, which is read here with regular expressions. Lost on the way are rules for values, what is sensitive,
and the most items of a block where that is more than one.

    python extract.py        fetch the packages (about 180 MB) below _build, and write the schemas again
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
SCHEMAS = HERE / "schemas"
#: Our name of a provider -> folder of its stack, package and version, module of the package.
PACKAGES = {
    "aws": ("aws", "cdktn-provider-aws==25.8.1"),
    "azurerm": ("azure", "cdktn-provider-azurerm==18.9.0"),
    "google": ("gcp", "cdktn-provider-google==21.1.0"),
}
USED = re.compile(r'^(resource|data) "(\w+)" "\w+"', re.M)
ENTRY = re.compile(
    r"^\s+(\w+): \{\n\s+value: (.*),\n\s+isBlock: (true|false),\n"
    r"\s+type: \"(\w+)\",\n\s+storageClassType: \"([^\"]*)\"",
    re.M,
)
#: The comment above each property, and the lines below it.
PROPERTY = re.compile(r"^    // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n(?=((?:.*\n){1,4}))", re.M)
FUNCTION = re.compile(r"^function (\w+)ToHclTerraform\(struct\w*\) \{\n(.*?)^\}", re.M | re.S)
CLASS = re.compile(r"^class (\w+) extends cdkt[fn]\.(\w+) \{\n(.*?)^\}", re.M | re.S)
STORED = re.compile(r"(string|number|boolean|any)(List|Map|Set)?(List|Map)?")
SCALARS = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
GETTERS = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "dynamic"],
}


def used(folder: Path) -> set[str]:
    """Resources and data sources of the .tf files of a folder; data sources begin with "data."."""
    text = "\n".join(path.read_text() for path in folder.glob("*.tf"))
    return {("data." if kind == "data" else "") + name for kind, name in USED.findall(text)}


class Module:
    """The JavaScript of one resource; `block()` is its schema.

    A block is {"attributes": {name: [type, flags]}, "blocks": {name: [nesting, least, most, block]}}; types are
    terraform's own notation, flags letters of r(equired), o(ptional) and c(omputed), most is 0 for any number.
    """

    def __init__(self, text: str) -> None:
        self.functions = dict(FUNCTION.findall(text))
        self.classes = {name: (base, body) for name, base, body in CLASS.findall(text)}
        named = re.search(r'tfResourceType = "(\w+)"', text)
        self.name = named[1] if named else None
        self.version = (re.search(r"providerVersion: '([\d.]+)'", text) or [None, None])[1]
        tops = ("TerraformResource", "TerraformDataSource", "TerraformProvider")
        self.base, self.body = next(((b, body) for b, body in self.classes.values() if b in tops), (None, ""))

    def block(self) -> dict:
        attributes = re.search(r"synthesizeHclAttributes\(\) \{\n(.*?)^    \}", self.body, re.M | re.S)
        return self._block(attributes[1] if attributes else "", self.body, ())

    def _block(self, entries: str, properties: str, outer: tuple[str, ...]) -> dict:
        flags, after = {}, {}
        for name, computed, optional, required, lines in PROPERTY.findall(properties):
            marks = zip("roc", (required, optional, computed), strict=True)
            flags[name], after[name] = "".join(mark for mark, on in marks if on == "true"), lines
        attributes, blocks, written = {}, {}, set()
        for name, value, is_block, kind, stored in ENTRY.findall(entries):
            written.add(name)
            flag = flags.get(name, "o")
            struct = next((f for f in re.findall(r"(\w+)ToHclTerraform", value) if f in self.functions), None)
            if struct is None or struct in outer:
                attributes[name] = ["dynamic" if struct else self._type(kind, stored), flag]
                continue
            inner = self._block(self.functions[struct], self._reference(struct), (*outer, struct))
            if is_block == "true":
                nesting = {"struct": "single", "set": "set", "map": "map"}.get(kind, "list")
                most = 0 if "listMapperHcl" in value or "hashMapperHcl" in value or nesting == "single" else 1
                blocks[name] = [nesting, int("r" in flag), most, inner]
            else:  # an attribute that is an object
                fields = ["object", {field: found[0] for field, found in inner["attributes"].items()}]
                many = {"struct": None, "set": "set", "map": "map"}.get(kind, "list")
                attributes[name] = [[many, fields] if many else fields, flag]
        for name, flag in flags.items():
            if name not in written and flag == "c":
                attributes[name] = [self._computed(after[name], ()), flag]
        return {"attributes": dict(sorted(attributes.items())), "blocks": dict(sorted(blocks.items()))}

    def _reference(self, struct: str) -> str:
        """The body of the class that goes with a struct: it says what is required and what is computed."""
        return self.classes.get(f"{struct[0].upper()}{struct[1:]}OutputReference", ("", ""))[1]

    @staticmethod
    def _type(kind: str, stored: str) -> object:
        found = STORED.fullmatch(stored)
        if found is None:
            return "dynamic"
        scalar = SCALARS[found[1]]
        if kind == "simple":
            return scalar
        return [{"list": "list", "set": "set", "map": "map"}[kind], [found[2].lower(), scalar] if found[3] else scalar]

    def _computed(self, lines: str, outer: tuple[str, ...]) -> object:
        """The type of what only the cloud sets, from the way in which it is read."""
        if "Fn.tolist(this.getListAttribute" in lines:
            return ["set", "string"]
        if found := re.search(r"this\.get(\w+)Attribute\(", lines):
            return GETTERS.get(found[1], "dynamic")
        found = re.search(r"new (?:\w+\.)?(\w+?)(List|Map|OutputReference)\(this, \"\w+\"(?:, (true|false))?", lines)
        if found is None or found[1] in outer:
            return "dynamic"
        many = "map" if found[2] == "Map" else "set" if found[3] == "true" else "list"
        if found[1].lower() in SCALARS:
            return [many, SCALARS[found[1].lower()]]
        body = self.classes.get(f"{found[1]}OutputReference", ("", ""))[1]
        fields = {p[0]: self._computed(p[4], (*outer, found[1])) for p in PROPERTY.findall(body)}
        return ["object", fields] if found[2] == "OutputReference" else [many, ["object", fields]]


def schema(package: Path, wanted: set[str]) -> dict:
    """The trimmed schema of a package's .jsii.tgz: {version, provider, resources, data_sources}."""
    texts: dict[str, str] = {}
    with tarfile.open(package) as archive:
        for member in archive:
            found = re.fullmatch(r"package/lib/([\w-]+)/(?:index|index-structs/\w+)\.js", member.name)
            if found and not found[1].startswith("ephemeral-"):
                stream = archive.extractfile(member)
                texts[found[1]] = texts.get(found[1], "") + (stream or io.BytesIO()).read().decode()
    made: dict = {"version": None, "provider": None, "resources": {}, "data_sources": {}}
    for folder, text in texts.items():
        name = re.search(r'tfResourceType = "(\w+)"', text)
        key = ("data." if folder.startswith("data-") else "") + name[1] if name else ""
        if key not in wanted and folder != "provider":
            continue
        module = Module(text)
        made["version"] = module.version or made["version"]
        if folder == "provider":
            made["provider"] = module.block()
        else:
            made["data_sources" if key.startswith("data.") else "resources"][module.name] = module.block()
    if missing := wanted - set(made["resources"]) - {f"data.{name}" for name in made["data_sources"]}:
        raise ValueError(f"{package.name} has no {', '.join(sorted(missing))}")
    return made


def text(found: dict, source: str) -> str:
    """JSON with a line for each resource, so that a change can be read."""
    lines = [
        f'"about": {json.dumps(f"Trimmed from {source} (PyPI), generated from the provider of the same version")}',
        '"licence": "MPL-2.0"',
        f'"version": {json.dumps(found["version"])}',
        f'"provider": {json.dumps(found["provider"], separators=(",", ":"))}',
    ]
    for kind in ("resources", "data_sources"):
        each = [f" {json.dumps(n)}: {json.dumps(b, separators=(',', ':'))}" for n, b in sorted(found[kind].items())]
        lines.append(f'"{kind}": {{\n' + ",\n".join(each) + "\n}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def fetched(requirement: str, folder: Path) -> Path:
    """The .jsii.tgz of a package from PyPI, installed below `folder` without what it depends on."""
    place = folder / requirement.replace("==", "-")
    if not any(place.glob("*/_jsii/*.jsii.tgz")):
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", "--target", place, requirement], check=True)
    return next(place.glob("*/_jsii/*.jsii.tgz"))


def extracted(name: str, folder: Path) -> str:
    """What schemas/NAME.json should hold, with the package fetched into `folder`."""
    stack, requirement = PACKAGES[name]
    return text(schema(fetched(requirement, folder), used(HERE.parents[1] / "terraform" / stack)), requirement)


if __name__ == "__main__":
    SCHEMAS.mkdir(exist_ok=True)
    for name in sys.argv[1:] or PACKAGES:
        (SCHEMAS / f"{name}.json").write_text(extracted(name, HERE.parents[1] / "_build" / "cdktn"))
        print(f"schemas/{name}.json written")
