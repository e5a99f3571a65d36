"""The token spec: what is read, what is refused, and where the errors point."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.specs import specs
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import decode_unverified, mint
from meshproxy_cli.tokens.reading import as_spec
from meshproxy_cli.tokens.spec import MAX_SPEC, Override, SpecError, TokenSpec, parse_spec, spec_from_options

ROOT = Path(__file__).parents[2]
VECTORS = json.loads(ROOT.joinpath("tests/data/meshagent-vectors.json").read_text("utf-8"))
KEY = ApiKey.parse(VECTORS["api_key"]["encoded"])
HEAD = "version: v1\nkind: ParticipantToken\nidentity: ana\n"


def problems(text: str, **options: Any) -> list[str]:
    """Return what is wrong with a spec, a line each: "7:3 role must …"."""
    with pytest.raises(SpecError) as caught:
        parse_spec(text, **options)
    found = [str(problem) for problem in caught.value.problems]
    assert all(problem.startswith("token-spec.yaml") for problem in found)
    assert all(problem in caught.value.message for problem in found[:20])
    return [problem.removeprefix("token-spec.yaml:").strip() for problem in found]


def api(*lines: str) -> str:
    return "\n".join([HEAD + "api:", "  llm: {}", *(f"  {line}" for line in lines)]) + "\n"


@pytest.mark.parametrize("vector", VECTORS["rejected"], ids=lambda vector: vector["name"])
def test_what_meshagent_refuses_is_refused(vector: dict[str, str]) -> None:
    assert len(problems(vector["spec_yaml"])) == 1


@pytest.mark.parametrize("vector", VECTORS["accepted_with_extras"], ids=lambda vector: vector["name"])
def test_what_meshagent_drops_in_silence_is_an_error_unless_it_is_allowed(vector: dict[str, str]) -> None:
    assert "unknown key" in problems(vector["spec_yaml"])[0]
    assert parse_spec(vector["spec_yaml"], allow_unknown=True).identity == "a"


def test_unknown_keys_are_signed_as_they_are_where_that_is_allowed() -> None:
    text = api("llm2: {n: 1, f: 1.5, t: yes, z: null, l: [true, x]}", "queues: {list: false, burst: 9}") + "extra: 1\n"
    spec = parse_spec(text, allow_unknown=True)
    assert spec.api == {
        "queues": {"list": False, "burst": 9},
        "llm": {},
        "llm2": {"n": 1, "f": 1.5, "t": "yes", "z": None, "l": [True, "x"]},
    }
    assert spec.ignored == ("extra",)


@pytest.mark.parametrize("value", [".inf", "-.INF", ".nan", "1e999", "{a: 1, a: 2}"])
def test_unknown_keys_that_json_could_not_hold_are_refused(value: str) -> None:
    assert "can't stand in a token" in problems(api(f"new: {value}"), allow_unknown=True)[0]


def test_every_problem_is_told_at_once_with_its_place() -> None:
    text = """\
version: v2
kind: Token
identity: 7
idenity: ana
room:
role: admin
api:
  livekit: {breakout_rooms: lobby}
  queues: {send: [1, jobs], list: perhaps}
  mesaging: {}
  storage:
  dataset: {}
  database: {tables: [{write: true}]}
  sync: [a]
  llm: {modles: [], models: [gpt-5, "openai/*-mini"]}
"""
    assert problems(text) == [
        '1:10: version must be v1 (got "v2")',
        '2:7: kind must be ParticipantToken (got "Token")',
        "3:11: identity must be a text (got 7; put it in quotes)",
        '4:1: unknown key "idenity"; did you mean "identity"?',
        "5:1: room has no value: write one, or remove the line",
        '6:7: role must be one of user, agent, tool (got "admin")',
        '8:29: api.livekit.breakout_rooms must be a list of texts (got "lobby")',
        "9:19: api.queues.send[0] must be a text (got 1; put it in quotes)",
        '9:35: api.queues.list must be true or false (got "perhaps")',
        '10:3: unknown key "mesaging" in api; did you mean "messaging"?',
        "11:3: api.storage has no value: write `storage: {}` to grant it, or remove the line",
        "13:3: database is another name of dataset, which is given too",
        "14:9: api.sync must be a mapping (got a list)",
        '15:9: unknown key "modles" in api.llm; did you mean "models"?',
        '15:30: api.llm.models[0] must be written provider/model, such as "openai/gpt-5.4" (got "gpt-5")',
        '15:37: api.llm.models[1] may have a `*` at its end only (got "openai/*-mini")',
    ]


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "../a", "./a", "a\\\\b", "a/.meshagent-directory"])
def test_paths_of_file_rules_are_checked(path: str) -> None:
    (problem,) = problems(api(f'storage: {{files: {{paths: [{{path: "{path}", recursive: true, actions: []}}]}}}}'))
    assert "must be a path without a leading slash" in problem


def test_a_name_that_looks_like_none_gets_the_list() -> None:
    (problem,) = problems(api("zzz: {}"))
    assert problem.startswith(
        '6:3: unknown key "zzz" in api; known here: livekit, queues, messaging, dataset, database'
    )


def test_many_problems_are_counted_and_the_first_shown() -> None:
    text = api(*(f"x{at}: {{}}" for at in range(50)))
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    assert len(caught.value.problems) == 50
    assert caught.value.message.startswith("the token spec has 50 problems\n")
    assert caught.value.message.endswith("… and 30 more")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "it is empty"),
        ("# nothing\n", "it is empty"),
        ("- a\n", "1:1: a token spec is a mapping with version, kind, … (got a list)"),
        ("word\n", '1:1: a token spec is a mapping with version, kind, … (got "word")'),
        (HEAD, "1:1: api is missing: add the line `api: {llm: {}}`"),
        (HEAD + "api:\n", "4:1: api is missing: add the line `api: {llm: {}}`"),
        (HEAD + "api: yes\n", '4:6: api must be a mapping (got "yes")'),
        (
            HEAD + "api: {}\n",
            "4:1: api.llm is missing, so the Room Proxy would refuse every request: add the line `llm: {}` below api",
        ),
        (HEAD + "api:\n  llm:\n", "5:3: api.llm has no value: write `llm: {}` to grant it, or remove the line"),
        (HEAD + "identity: bo\napi: {llm: {}}\n", '4:1: "identity" is given twice in the token spec'),
        (api("queues: {list: true, list: false}"), '6:24: "list" is given twice in api.queues'),
        (api("queues: {}", "queues: {}"), '7:3: "queues" is given twice in api'),
        (api("secrets: {a: 1}"), '6:13: unknown key "a" in api.secrets; nothing may stand here'),
        (api("secrets2: {}"), '6:3: unknown key "secrets2" in api; did you mean "secrets"?'),
        (api("queues: {send: }"), "6:12: api.queues.send has no value: write one, or remove the line"),
        (api("queues: {send: {a: b}}"), "6:18: api.queues.send must be a list of texts (got a mapping)"),
        (api("queues: {send: [null]}"), "6:19: api.queues.send[0] must be a text (got nothing)"),
        (api("queues: {list: null}"), "6:18: api.queues.list must be true or false (got nothing)"),
        (api("dataset: {tables: [{}]}"), "6:22: api.dataset.tables[0].name is missing"),
        (api("storage: {files: {paths: [{path: a, recursive: true, actions: [eat]}]}}"),
         '6:66: api.storage.files.paths[0].actions[0] must be one of list, read, write, delete, presign (got "eat")'),
        (HEAD.replace("ana", '" "') + "api: {llm: {}}",
         "3:11: identity must not be blank, nor hold control characters"),
        (HEAD.replace("ana", r'"a\nb"') + "api: {llm: {}}",
         "3:11: identity must not be blank, nor hold control characters"),
        (HEAD.replace("ana", "null") + "api: {llm: {}}", "3:1: identity is missing: add the line `identity: NAME`"),
    ],
)  # fmt: skip
def test_places_and_words_of_errors(text: str, expected: str) -> None:
    assert problems(text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + "a: &x {}\nb: *x\n", "4:4: anchors (`&name`) are not allowed"),
        (HEAD + "a: *x\n", "4:4: aliases (`*name`) are not allowed"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "1:4: anchors"),
        (HEAD + "a: !!python/object/apply:os.system [true]\n", "4:4: tags (`!name`) are not allowed"),
        (HEAD + "a: !mine x\n", "4:4: tags"),
        (HEAD + "room: !!str 1\n", "4:7: tags"),
        (HEAD + "api: {llm: {}}\n---\nversion: v1\n", "5:1: a token spec is one document; a second one begins here"),
        ("[" * 30_000, "1:21: it is nested deeper than any token spec"),
        ("{a: " * 16_000, "nested deeper"),
        ("? " * 30_000, "nested deeper"),
        ("- " * 30_000, "nested deeper"),
        ("x" * (MAX_SPEC + 1), "it is larger than 64 KiB, which no token spec is"),
        ("a: 1\nb: \x07\n", "2:1: it holds a character that YAML does not allow (#x0007)"),
        ("a: \ud800\n", "1:1: it holds a character that YAML does not allow (#xd800)"),
        (HEAD + "api: {llm: {}\n", "this is not valid YAML"),
        (HEAD + "\tapi: {}\n", "4:1: this is not valid YAML"),
        (HEAD + "a: b: c\n", "4:5: this is not valid YAML: mapping values are not allowed here"),
        (HEAD + "? [a, b]\n: 1\n", "4:3: a key must be a text"),
        ("%YAML 9.9\n---\na: 1\n", "this is not valid YAML"),
        (HEAD + "<<: {room: r}\napi: {llm: {}}\n", '4:1: unknown key "<<"'),
    ],
)  # fmt: skip
def test_yaml_that_is_not_safe_is_refused(text: str, expected: str) -> None:
    (problem,) = problems(text)
    assert expected in problem


@given(st.text(max_size=200) | st.text("[]{}:,-?&*!|>'\"%@`#\n \tab1", max_size=200))
def test_no_text_at_all_is_anything_but_read_or_refused(text: str) -> None:
    with contextlib.suppress(SpecError):
        assert parse_spec(text).identity


def test_older_names_of_dataset() -> None:
    for name in ("dataset", "database", "datasets"):
        assert parse_spec(api(f"{name}: {{list_tables: false}}")).api == {"dataset": {"list_tables": False}, "llm": {}}


def test_null_is_not_granted_and_not_given() -> None:
    spec = parse_spec(HEAD + "room: null\nrole: ~\napi: {llm: {models: null}, storage: null, livekit: ~}\n")
    assert spec == TokenSpec("ana", None, None, {"llm": {}})


def test_plain_words_are_read_as_meshagent_reads_them() -> None:
    assert parse_spec(HEAD.replace("ana", "no") + "room: on\napi: {llm: {}}\n") == TokenSpec(
        "no", "on", None, {"llm": {}}
    )
    assert parse_spec(api("queues: {list: no}", "messaging: {send: 'false', list: 1}")).api == {
        "queues": {"list": False},
        "messaging": {"send": False},
        "llm": {},
    }


def test_a_byte_order_mark_is_no_problem() -> None:
    assert parse_spec("\ufeff" + api()).identity == "ana"


def test_without_llm() -> None:
    assert parse_spec(HEAD + "api: {queues: {}}\n", require_llm=False).api == {"queues": {}}


def test_overrides_go_over_the_file_and_mend_it() -> None:
    text = HEAD + "role: admin\nroom: a\napi:\n  llm:\n    models: [wrong]\n"
    overrides = (
        Override(("role",), "tool", "--role"),
        Override(("room",), "b", "--room"),
        Override(("api", "llm", "models"), ["openai/*"], "--set api.llm.models"),
        Override(("api", "queues", "list"), value=False, option="--set api.queues.list"),
    )
    spec = parse_spec(text, overrides=overrides)
    assert spec == TokenSpec("ana", "b", "tool", {"queues": {"list": False}, "llm": {"models": ["openai/*"]}})


def test_errors_in_overrides_name_the_option() -> None:
    overrides = [Override(("role",), "king", "--role"), Override(("api", "quues"), {}, "--set api.quues")]
    with pytest.raises(SpecError) as caught:
        parse_spec(api(), overrides=overrides)
    assert [str(problem) for problem in caught.value.problems] == [
        '--role: role must be one of user, agent, tool (got "king")',
        '--set api.quues: unknown key "quues" in api; did you mean "queues"?',
    ]


def test_a_spec_of_options_alone() -> None:
    overrides = [Override(("identity",), "1", "--identity"), Override(("room",), "no", "--room")]
    assert spec_from_options(overrides) == TokenSpec.for_room("1", "no")


@given(specs())
def test_spec_to_token_to_spec(document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False)
    spec = parse_spec(text)
    token = decode_unverified(mint(spec, KEY, now=0))
    again = parse_spec(json.dumps(as_spec(token), ensure_ascii=False))
    assert (again.identity, again.room, again.api) == (spec.identity, spec.room, spec.api)
    assert (again.role or "user") == (spec.role or "user")
    assert mint(again, KEY, now=0) == mint(spec, KEY, now=0)


def test_the_example_is_a_valid_spec() -> None:
    text = ROOT.joinpath("examples/token-spec.yaml").read_text("utf-8")
    assert parse_spec(text).room == "my-room"
