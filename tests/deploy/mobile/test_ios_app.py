"""The Xcode project and the Swift package: syntax by a parser, every reference resolved, the model inspected."""

import json
import plistlib
import re
import xml.etree.ElementTree as ET

import coremltools as ct
import pytest
import tree_sitter_swift
import yaml
from openstep_parser import OpenStepDecoder
from PIL import Image
from tree_sitter import Language, Parser

from cvprod.repo import root
from cvprod.runtimes import coreml

IOS = root() / "deploy/mobile/ios"
SWIFT = sorted(IOS.rglob("*.swift"))
IDENTIFIER = re.compile(r"^A0{10,}[0-9A-F]{2}$")


def parse(text: str):
    return Parser(Language(tree_sitter_swift.language())).parse(text.encode()).root_node


def faults(node) -> list[str]:
    if node.type == "ERROR" or node.is_missing:
        return [f"line {node.start_point[0] + 1}: {node.text.decode()[:60]!r}"]
    return [fault for child in node.children if child.has_error or child.is_missing for fault in faults(child)]


@pytest.fixture(scope="module")
def project():
    with (IOS / "Inspector.xcodeproj/project.pbxproj").open(encoding="utf-8") as file:
        return OpenStepDecoder.ParseFromFile(file)


@pytest.mark.parametrize("path", SWIFT, ids=lambda p: p.relative_to(IOS).as_posix())
def test_every_swift_file_parses(path):
    assert faults(parse(path.read_text())) == []


def test_the_parser_finds_a_planted_fault():
    assert faults(parse("func f() { let x = (1 + }"))


def test_every_object_is_there_and_used(project):
    objects = project["objects"]

    def mentions(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from mentions(key)
                yield from mentions(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from mentions(inner)
        elif isinstance(value, str) and IDENTIFIER.match(value):
            yield value

    used = {project["rootObject"], *(m for body in objects.values() for m in mentions(body))}
    assert used == set(objects)
    kinds = {identifier: body["isa"] for identifier, body in objects.items()}
    for body in objects.values():
        if body["isa"] == "PBXBuildFile":
            target = body.get("fileRef") or body["productRef"]
            assert kinds[target] in ("PBXFileReference", "XCSwiftPackageProductDependency")
        if body["isa"] == "XCConfigurationList":
            assert {objects[c]["name"] for c in body["buildConfigurations"]} == {"Debug", "Release"}


def test_every_path_is_there(project):
    for body in project["objects"].values():
        if body["isa"] == "PBXFileSystemSynchronizedRootGroup":
            assert list((IOS / body["path"]).rglob("*.swift"))
        if body["isa"] == "PBXFileReference" and body["sourceTree"] == "SOURCE_ROOT":
            assert (IOS / body["path"]).exists(), body["path"]
        if body["isa"] == "XCLocalSwiftPackageReference":
            assert (IOS / body["relativePath"] / "Package.swift").is_file()
        settings = body.get("buildSettings", {})
        if "INFOPLIST_FILE" in settings:
            assert (IOS / settings["INFOPLIST_FILE"]).is_file()
            catalogue = IOS / "Inspector/Assets.xcassets"
            assert (catalogue / f"{settings['ASSETCATALOG_COMPILER_APPICON_NAME']}.appiconset").is_dir()
            assert (catalogue / f"{settings['ASSETCATALOG_COMPILER_GLOBAL_ACCENT_COLOR_NAME']}.colorset").is_dir()


def test_scheme_builds_and_tests_the_targets(project):
    scheme = ET.parse(IOS / "Inspector.xcodeproj/xcshareddata/xcschemes/Inspector.xcscheme").getroot()
    targets = {i: b["name"] for i, b in project["objects"].items() if b["isa"] == "PBXNativeTarget"}
    for reference in scheme.iter("BuildableReference"):
        if reference.get("ReferencedContainer") == "container:Inspector.xcodeproj":
            assert targets[reference.get("BlueprintIdentifier")] == reference.get("BlueprintName")
    tested = {r.get("BlueprintName") for t in scheme.iter("TestableReference") for r in t.iter("BuildableReference")}
    assert tested == {"InspectorTests", "InspectorUITests", "InspectorCoreTests"}


def test_package_and_catalogue_name_what_exists():
    manifest = (IOS / "InspectorCore/Package.swift").read_text()
    for name in re.findall(r'\.target\(name: "(\w+)"', manifest):
        assert list((IOS / "InspectorCore/Sources" / name).glob("*.swift"))
    for name in re.findall(r'\.testTarget\(name: "(\w+)"', manifest):
        assert list((IOS / "InspectorCore/Tests" / name).glob("*.swift"))
    for path in IOS.rglob("Contents.json"):
        for image in json.loads(path.read_text()).get("images", []):
            with Image.open(path.parent / image["filename"]) as icon:
                assert icon.size == (1024, 1024) and icon.mode == "RGB"  # no alpha: the store refuses it


def test_app_says_why_it_wants_the_camera_and_nothing_else():
    document = plistlib.loads((IOS / "Inspector/Info.plist").read_bytes())
    assert [key for key in document if key.startswith("NS")] == ["NSCameraUsageDescription"]
    settings = (IOS / "Config/Inspector.xcconfig").read_text()
    for value in (document["InspectorChannel"], document["InspectorPublicKey"]):
        assert re.search(rf"^{value.strip('$()')} =", settings, re.M)
    text = "\n".join(p.read_text() for p in SWIFT)
    assert not re.search(r"TODO|FIXME|placeholder|try!|as!", text)
    assert "https://" in (IOS / "Inspector/HTTPSChannel.swift").read_text()


def test_the_model_is_what_the_app_feeds_and_reads():
    found = coreml.inspect(IOS / "Inspector/Resources/Model.mlpackage")
    assert "tiles" in json.dumps(found, default=str) and "logits" in json.dumps(found, default=str)
    spec = ct.models.MLModel(str(IOS / "Inspector/Resources/Model.mlpackage"), skip_model_load=True).get_spec()
    taken = spec.description.input[0].type.multiArrayType
    assert list(taken.shape) == [1, 1, 96, 96]
    # A flexible shape keeps the Neural Engine for the default one.
    assert taken.WhichOneof("ShapeFlexibility") is None
    classifier = (IOS / "Inspector/Classifier.swift").read_text()
    assert '"tiles"' in classifier and '"logits"' in classifier


def test_both_apps_are_built_where_their_tools_are():
    workflow = yaml.safe_load((root() / ".github/workflows/mobile.yml").read_text())
    steps = {job: " ".join(str(s) for s in body["steps"]) for job, body in workflow["jobs"].items()}
    for task in ("core:test", "app:testDebugUnitTest", "app:connectedDebugAndroidTest"):
        assert task in steps["android"]
    assert "swift test" in steps["ios"] and "xcodebuild test" in steps["ios"]
    assert "./gradlew core:test" in steps["android"]  # Gradle as the wrapper pins it
