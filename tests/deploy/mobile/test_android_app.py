"""The Android project: its portable module is compiled and its unit tests run; the rest is held together by parsers."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import tree_sitter_kotlin
from tree_sitter import Language, Parser

from cvprod.edge import vectors
from cvprod.repo import root
from cvprod.runtimes import litert

ANDROID = root() / "deploy/mobile/android"
VECTORS = root() / "deploy/mobile/vectors"
KOTLIN = sorted(p for p in ANDROID.rglob("*.kt*") if "build" not in p.relative_to(ANDROID).parts[:-1])
RES = ANDROID / "app/src/main/res"
NS = "{http://schemas.android.com/apk/res/android}"

COMPILER = "kotlin-compiler@2.4.20"
LIBRARIES = "kotlin-jupyter-kernel==0.19.0.944"  # brings kotlinx-serialization's jars; nothing else of it is used
#: Debian's: JUnit, what it needs, and the verifier of signatures.
JARS = [Path("/usr/share/java") / name for name in ("junit4.jar", "hamcrest-core.jar", "bcprov.jar")]
#: A compiler that runs once is over before the JVM's optimiser has paid for itself.
BRIEF = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]


def parse(text: str):
    return Parser(Language(tree_sitter_kotlin.language())).parse(text.encode()).root_node


def faults(node) -> list[str]:
    if node.type == "ERROR" or node.is_missing:
        return [f"line {node.start_point[0] + 1}: {node.text.decode()[:60]!r}"]
    return [fault for child in node.children if child.has_error or child.is_missing for fault in faults(child)]


@pytest.mark.parametrize("path", KOTLIN, ids=lambda p: p.relative_to(ANDROID).as_posix())
def test_every_kotlin_file_parses(path):
    assert faults(parse(path.read_text())) == []


def test_the_parser_finds_a_planted_fault():
    assert faults(parse("fun f() { val x = (1 + }"))


def test_packages_follow_folders_and_no_import_is_unused():
    for path in ANDROID.rglob("*.kt"):
        text = path.read_text()
        package = re.search(r"^package ([\w.]+)$", text, re.M).group(1)
        assert path.parent.as_posix().endswith("kotlin/" + package.replace(".", "/"))
        body = re.sub(r"^import .*$", "", text, flags=re.M)
        for name in re.findall(r"^import [\w.]+\.(\w+)$", text, re.M):
            if name not in ("getValue", "setValue"):  # what `by` calls
                assert re.search(rf"\b{name}\b", body), f"{path.name}: {name} is imported and not used"


def test_imports_of_the_core_exist():
    core = "\n".join(p.read_text() for p in (ANDROID / "core/src/main").rglob("*.kt"))
    for path in (ANDROID / "app/src").rglob("*.kt"):
        for name in re.findall(r"^import org\.cvprod\.inspector\.core\.(\w+)$", path.read_text(), re.M):
            assert re.search(rf"\b(class|object|interface|fun) {name}\b", core), f"{path.name}: core has no {name}"


def test_catalogue_names_what_the_builds_use_and_nothing_else():
    catalogue = tomllib.loads((ANDROID / "gradle/libs.versions.toml").read_text())
    builds = "\n".join(p.read_text() for p in ANDROID.rglob("build.gradle.kts"))
    used = set(re.findall(r"\blibs\.([\w.]+)\)", builds))
    known = {name.replace("-", ".") for name in catalogue["libraries"]}
    known |= {"plugins." + name.replace("-", ".") for name in catalogue["plugins"]}
    assert used == known
    entries = [*catalogue["libraries"].values(), *catalogue["plugins"].values()]
    assert {e["version"]["ref"] for e in entries if "version" in e} == set(catalogue["versions"])
    assert [e for e in entries if "module" in e and "version" not in e] != []  # Compose: versions from its BOM
    modules = re.findall(r'":(\w+)"', (ANDROID / "settings.gradle.kts").read_text())
    assert sorted(modules) == ["app", "core"] and all((ANDROID / m / "build.gradle.kts").is_file() for m in modules)


#: Of the files of Gradle 9.4.1, as published at https://gradle.org/release-checksums.
WRAPPER = "55243ef57851f12b070ad14f7f5bb8302daceeebc5bce5ece5fa6edb23e1145c"
DISTRIBUTION = "2ab2958f2a1e51120c326cad6f385153bb11ee93b3c216c5fccebfdfbb7ec6cb"


def test_the_wrapper_is_gradles_own_and_fetches_what_gradle_published():
    jar = ANDROID / "gradle/wrapper/gradle-wrapper.jar"
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == WRAPPER
    said = dict(line.split("=", 1) for line in jar.with_suffix(".properties").read_text().splitlines())
    assert said["distributionUrl"].endswith("/gradle-9.4.1-bin.zip")
    assert said["distributionSha256Sum"] == DISTRIBUTION


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_gradlew_refuses_a_distribution_of_another_checksum(tmp_path):
    shutil.copytree(ANDROID / "gradle", tmp_path / "gradle")
    shutil.copy(ANDROID / "gradlew", tmp_path)
    (tmp_path / "gradle-9.4.1-bin.zip").write_bytes(b"no distribution")
    properties = tmp_path / "gradle/wrapper/gradle-wrapper.properties"
    where = (tmp_path / "gradle-9.4.1-bin.zip").as_uri()
    properties.write_text(re.sub("distributionUrl=.*", f"distributionUrl={where}", properties.read_text()))
    home = {**os.environ, "GRADLE_USER_HOME": str(tmp_path / "home")}
    ran = subprocess.run([tmp_path / "gradlew", "--version"], capture_output=True, text=True, env=home)
    assert ran.returncode != 0
    assert "Verification of Gradle distribution failed" in ran.stdout + ran.stderr


def test_resources_and_components_exist():
    for path in [*RES.rglob("*.xml"), ANDROID / "app/src/main/AndroidManifest.xml"]:
        ET.parse(path)
    strings = ET.parse(RES / "values/strings.xml").getroot()
    names = {s.get("name"): s.text for s in strings}
    kotlin = "\n".join(p.read_text() for p in (ANDROID / "app/src/main").rglob("*.kt"))
    manifest = (ANDROID / "app/src/main/AndroidManifest.xml").read_text()
    used = set(re.findall(r"R\.string\.(\w+)", kotlin)) | set(re.findall(r"@string/(\w+)", manifest))
    assert used == set(names)
    for name, text in names.items():  # as many arguments as placeholders
        for call in re.findall(rf"stringResource\(R\.string\.{name}((?:[^()]|\([^()]*\))*)\)", kotlin):
            given = len(re.findall(r",(?![^(]*\))", call))
            assert given == len(set(re.findall(r"%(\d)\$", text))), f"{name}: {text!r} with {call!r}"
    files = "\n".join(p.read_text() for p in RES.rglob("*.xml")) + manifest
    for kind, name in re.findall(r"@(drawable|mipmap|xml)/(\w+)", files):
        assert list(RES.glob(f"{kind}*/{name}.xml")), f"@{kind}/{name}"
    activities = ET.fromstring(manifest).iter("activity")
    for activity in activities:
        assert f"class {activity.get(NS + 'name').lstrip('.')}" in kotlin


def test_the_app_asks_for_no_more_than_it_needs():
    manifest = ET.parse(ANDROID / "app/src/main/AndroidManifest.xml").getroot()
    asked = {p.get(NS + "name").rsplit(".", 1)[1] for p in manifest.iter("uses-permission")}
    assert asked == {"CAMERA", "INTERNET"}
    assert 'cleartextTrafficPermitted="false"' in (RES / "xml/network_security.xml").read_text()
    text = "\n".join(p.read_text() for p in KOTLIN)
    assert not re.search(r"TODO|FIXME|placeholder", text)


def test_the_shipped_model_gives_the_logits_of_the_vectors():
    run = litert.load(ANDROID / "app/src/main/assets/model.tflite")
    import json

    book = json.loads((VECTORS / "vectors.json").read_text())
    tensors = np.fromfile(VECTORS / "tensors.bin", np.uint8).reshape(-1, 1, 96, 96)
    expected = np.array([v["logits"] for v in book["vectors"]])
    found = np.concatenate([run(tensor[None]) for tensor in tensors])
    assert np.abs(found - expected).max() <= book["fp32_tolerance"]
    assert book["network"] == vectors.default_network()


# --- the portable module, for real -------------------------------------------------------------------------


def fetch(folder: Path) -> dict[str, Path]:
    """The Kotlin compiler (npm) and the jars it needs (PyPI), kept below _build; skips where they cannot be had."""
    if shutil.which("java") is None or not all(p.is_file() for p in JARS):
        pytest.skip("needs Java and jars (Debian: apt-get install default-jre-headless junit4 libbcprov-java)")
    lib, jars = folder / "node_modules/kotlin-compiler/lib", folder / "jars/run_kotlin_kernel/jars"
    commands = [] if lib.is_dir() else [["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, COMPILER]]
    if not jars.is_dir():
        uv = Path(sys.executable).with_name("uv")
        commands += [[uv, "pip", "install", "--quiet", "--no-deps", "--target", folder / "jars", LIBRARIES]]
    for command in commands:
        if shutil.which(str(command[0])) is None:
            pytest.skip(f"{command[0]} is missing, so the Kotlin compiler cannot be fetched")
        try:
            done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("the Kotlin compiler could not be fetched within five minutes")
        if done.returncode:
            pytest.skip(f"the Kotlin compiler could not be fetched: {done.stderr.strip()[-200:]}")
    return {"lib": lib, "jars": jars}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile core, main and test, with warnings as errors; returns the class path to run it with."""
    found = fetch(root() / "_build/tools")
    libraries = [found["lib"] / "kotlin-stdlib.jar", *sorted(found["jars"].glob("kotlinx-serialization-*.jar")), *JARS]
    path = ":".join(map(str, libraries))
    out = tmp_path_factory.mktemp("kotlin") / "core.jar"
    command = ["java", *BRIEF, "-cp", f"{found['lib']}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    command += ["-no-stdlib", "-no-reflect", "-Werror", "-cp", path, "-d", str(out)]
    command += [f"-Xplugin={found['lib'] / 'kotlinx-serialization-compiler-plugin.jar'}"]
    command += [str(ANDROID / "core/src/main"), str(ANDROID / "core/src/test")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return f"{out}:{path}"


def test_the_cores_unit_tests_pass(compiled):
    tests = sorted((ANDROID / "core/src/test").rglob("*Test.kt"))
    names = [f"org.cvprod.inspector.core.{p.stem}" for p in tests]
    command = ["java", f"-Dvectors.dir={VECTORS}", "-cp", compiled, "org.junit.runner.JUnitCore", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    count = int(re.search(r"OK \((\d+) tests\)", done.stdout).group(1))
    assert count == sum(p.read_text().count("@Test\n") for p in tests) >= 20


def test_a_changed_vector_fails_the_cores_unit_tests(compiled, tmp_path):
    shutil.copytree(VECTORS, tmp_path / "vectors")
    tensors = tmp_path / "vectors/tensors.bin"
    data = bytearray(tensors.read_bytes())
    data[5000] ^= 1
    tensors.write_bytes(data)
    command = ["java", f"-Dvectors.dir={tmp_path / 'vectors'}", "-cp", compiled, "org.junit.runner.JUnitCore"]
    name = "org.cvprod.inspector.core.AreaResizeTest"
    done = subprocess.run([*command, name], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0 and "everyByteOfTheVectors" in done.stdout
