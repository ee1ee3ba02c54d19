"""Tests the server with clients of others: a LibreTranslate client from PyPI, and schemathesis, which reads the OpenAPI
document.
"""

import json
from contextlib import suppress

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from processes import SECONDS
from served import limited, make_translator, served


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = limited(char_limit=200, deadline=240)
    with served([make_translator(tmp_path_factory.mktemp("models") / "model")], settings) as running:
        yield running


def test_a_libretranslate_client_translates_unchanged(server):
    client = pytest.importorskip("libretranslatepy", reason="libretranslatepy is not installed").LibreTranslateAPI
    (expected,) = server.translator.translate(["The dog sees a cat. A cat runs."], split_sentences=True)
    api = client(server.url)
    assert api.translate("The dog sees a cat. A cat runs.", "en", "de") == expected.text
    assert api.languages() == server.get("/languages").json
    assert api.detect("the dog")[0]["language"] == "en"


def test_the_openapi_document_describes_every_route(server):
    document = server.get("/openapi.json").json
    assert document["openapi"].startswith("3.1") and "422" not in json.dumps(document)
    routes = {(path, method) for path, item in document["paths"].items() for method in item}
    assert routes == {
        ("/translate", "post"), ("/detect", "post"), ("/languages", "get"), ("/translate_file", "post"),
        ("/download_file/{key}", "get"), ("/translator/translate", "post"), ("/translator/models", "get"),
        ("/translator/health", "get"), ("/v1/translate", "post"), ("/v1/limits", "get"), ("/health", "get"),
        ("/health/ready", "get"), ("/metrics", "get"), ("/frontend/settings", "get"),
    }  # fmt: skip
    beam = document["components"]["schemas"]["DetailedBody"]["properties"]["beam"]
    assert "number of hypotheses" in beam["description"]
    form = document["paths"]["/translate"]["post"]["requestBody"]["content"]
    assert set(form) == {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}


@pytest.mark.end_to_end
@pytest.mark.timeout(900)
def test_no_request_makes_the_server_fail(server):
    """Sends generated requests, valid and invalid; all responses must be declared in the document."""
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis.checks import CHECKS

    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    checks = CHECKS.get_by_names(
        ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
    )
    bounded = settings(
        max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    called = 0
    for operation in schema.get_all_operations():
        strategies = [operation.ok().as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode]
        for strategy in strategies:

            @seed(7)
            @bounded
            @given(case=strategy)
            def ask(case):
                nonlocal called
                called += 1
                case.call_and_validate(checks=checks, timeout=SECONDS)

            with suppress(Unsatisfiable):  # a route without parameters has no invalid request
                ask()
    assert called > 100
    assert server.get("/health/ready").status == 200
