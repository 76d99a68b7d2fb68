"""The OpenAPI document holds against generated requests: no answer that it does not tell of, and never a 500."""

import json
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cvprod.serving.api.app import App
from cvprod.serving.engine import Engine
from cvprod.serving.model import Model
from cvprod.serving.settings import DEFAULT_MODEL, Settings

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    chosen = Settings(workers=1, state=Path(tmp_path_factory.mktemp("state")), latency_budget_ms=5000)
    return schemathesis.openapi.from_asgi("/openapi.json", App(Engine(Model.load(DEFAULT_MODEL), budget=5), chosen))


def operations(schema):
    return [found.ok() for found in schema.get_all_operations()]


def test_every_operation(schema):
    checked = 0
    for operation in operations(schema):

        @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def holds(case):
            case.call_and_validate(checks=CHECKS)

        holds()
        checked += 1
    assert checked >= 15


def test_the_document_is_complete(schema):
    document = schema.raw_schema
    assert json.dumps(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), f"{method} {path}"
            assert "500" in operation["responses"], f"{method} {path}"
