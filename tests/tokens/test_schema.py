"""The JSON Schema says what the check says."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given

from fixtures.specs import specs
from meshproxy_cli.tokens.schema import spec_schema
from meshproxy_cli.tokens.spec import parse_spec

ROOT = Path(__file__).parents[2]
VECTORS = json.loads(ROOT.joinpath("tests/data/meshagent-vectors.json").read_text("utf-8"))
CHECKER = jsonschema.Draft7Validator(spec_schema())


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(spec_schema())


def test_the_one_beside_the_example_is_this_one() -> None:
    text = ROOT.joinpath("examples/token-spec.schema.json").read_text("utf-8")
    assert json.loads(text) == spec_schema(), "meshproxy token schema > examples/token-spec.schema.json"


def test_the_examples_modeline_names_it() -> None:
    first = ROOT.joinpath("examples/token-spec.yaml").read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./token-spec.schema.json"


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda vector: vector["name"])
def test_it_takes_what_is_signed(vector: dict[str, Any]) -> None:
    CHECKER.validate(yaml.safe_load(vector["spec_yaml"]))


@pytest.mark.parametrize(
    "vector", VECTORS["rejected"] + VECTORS["accepted_with_extras"], ids=lambda vector: vector["name"]
)
def test_it_refuses_what_is_refused(vector: dict[str, Any]) -> None:
    assert not CHECKER.is_valid(yaml.safe_load(vector["spec_yaml"]))


@given(specs())
def test_it_takes_every_valid_spec(document: dict[str, Any]) -> None:
    parse_spec(json.dumps(document, ensure_ascii=False))
    CHECKER.validate(document)
