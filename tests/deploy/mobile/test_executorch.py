"""ExecuTorch on phones: the sources parse, and the libraries are of the converter's release."""

import re
from importlib.metadata import version

import pytest
import tree_sitter_kotlin
import tree_sitter_swift
from tree_sitter import Language, Parser

from cvprod.repo import root

FOLDER = root() / "deploy/mobile/executorch"
GRAMMARS = {"kt": tree_sitter_kotlin, "kts": tree_sitter_kotlin, "swift": tree_sitter_swift}
SOURCES = sorted(path for path in FOLDER.iterdir() if path.suffix[1:] in GRAMMARS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_source_parses(path):
    tree = Parser(Language(GRAMMARS[path.suffix[1:]].language())).parse(path.read_bytes())
    assert not tree.root_node.has_error


def test_the_libraries_are_of_the_converters_release():
    minor = version("executorch").rsplit(".", 1)[0]
    maven = re.search(r"executorch-android:([\d.]+)", (FOLDER / "build.gradle.kts").read_text()).group(1)
    swift = re.search(r"swiftpm-([\d.]+)", (FOLDER / "Package.swift").read_text()).group(1)
    assert maven == version("executorch") and swift.rsplit(".", 1)[0] == minor


def test_both_take_what_the_apps_classifiers_take():
    for own, apps in (
        ("Classifier.kt", "android/app/src/main/kotlin/org/cvprod/inspector/Classifier.kt"),
        ("Classifier.swift", "ios/Inspector/Classifier.swift"),
    ):
        call = re.compile(r"fun(c)? classify\(.*")
        here, there = (call.search((FOLDER.parent / p).read_text()).group() for p in (f"executorch/{own}", apps))
        assert here == there
