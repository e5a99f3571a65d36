"""TOML in place: where keys go, what stays, and what is refused."""

import tomllib

import pytest

from meshproxy_cli.configedit.formats.document import Change, FormatError, Raw
from meshproxy_cli.configedit.formats.toml_document import TomlDocument

NAME = ("model_providers", "mine", "name")
COMMAND = ("model_providers", "mine", "auth", "command")


def put(text: str, *changes: Change) -> str:
    document = TomlDocument(text.encode())
    document.put(changes)
    return document.render().decode()


def test_new_tables_go_to_the_end() -> None:
    result = put("a = 1", Change(NAME, "n"), Change(COMMAND, "/c"))
    assert result == 'a = 1\n\n[model_providers.mine]\nname = "n"\n\n[model_providers.mine.auth]\ncommand = "/c"\n'


def test_an_empty_file_begins_without_a_blank_line() -> None:
    assert put("", Change(("model",), "m"), Change(NAME, "n")) == 'model = "m"\n\n[model_providers.mine]\nname = "n"\n'


def test_top_level_keys_go_behind_the_last_of_them() -> None:
    assert put("a = 1 # one\n\n[t]\n", Change(("b",), 2)) == "a = 1 # one\nb = 2\n\n[t]\n"
    assert put("# head\n[t]\n", Change(("b",), 2)) == "b = 2\n# head\n[t]\n"


def test_a_value_is_replaced_where_it_stands() -> None:
    assert put("a   =  'x'   # why\n", Change(("a",), "y")) == 'a   =  "y"   # why\n'


def test_keys_join_a_table_that_is_there() -> None:
    text = "[model_providers.mine]\n  name = 'n'\n\n[other]\n"
    assert put(text, Change((*NAME[:2], "url"), "u")) == (
        "[model_providers.mine]\n  name = 'n'\n  url = \"u\"\n\n[other]\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "model_providers = { other = { name = 'o' } } # why\n",
        "model_providers.other.name = 'o'\n",
        "[model_providers]\nother.name = 'o'\n",
        "[model_providers]\nother = { name = 'o' }\n[z]\n",
        "x = '''\n[model_providers.mine]\n'''\n[[array]]\n[array.model_providers]\n",
    ],
)
def test_every_form_of_the_parent_table(text: str) -> None:
    values = tomllib.loads(put(text, Change(NAME, "n"), Change(COMMAND, "/c")))
    assert values["model_providers"].pop("mine") == {"name": "n", "auth": {"command": "/c"}}
    if not values["model_providers"]:
        del values["model_providers"]
    assert values == tomllib.loads(text)


def test_a_table_of_dotted_keys_goes_on_in_dotted_keys() -> None:
    text = "model_providers.mine.name = 'n'\n[z]\n"
    assert put(text, Change((*NAME[:2], "url"), "u")) == (
        "model_providers.mine.name = 'n'\nmodel_providers.mine.url = \"u\"\n[z]\n"
    )


def test_line_ends_and_byte_order_mark_stay() -> None:
    document = TomlDocument("\ufeffa = 1\r\n".encode())
    document.put([Change(("b",), 2)])
    assert document.render() == "\ufeffa = 1\r\nb = 2\r\n".encode()


def test_drop_keeps_comments() -> None:
    document = TomlDocument(b"a = 1 # mine\n# above\nb = 2\n")
    document.drop(("a",))
    document.drop(("b",))
    assert document.render() == b"# mine\n# above\n"


def test_prune_takes_an_empty_table_and_no_comment() -> None:
    document = TomlDocument(b"a = 1\n\n[t]\nk = 1\n# mine\n[t.u]\n")
    document.drop(("t", "k"))
    document.prune(("t",))
    assert b"[t]" in document.render()  # [t.u] is still there
    document.prune(("t", "u"))
    document.prune(("t",))
    assert document.render() == b"a = 1\n# mine\n"


def test_inline_tables_lose_one_key() -> None:
    document = TomlDocument(b"p = { a = 1, b = { c = 2 } }\n")
    document.drop(("p", "b", "c"))
    document.prune(("p", "b"))
    assert document.plain() == {"p": {"a": 1}}


def test_raw_text_comes_back_as_it_was() -> None:
    text = "a = 0x1F # hex\nb = { c = 'q' }\n"
    document = TomlDocument(text.encode())
    raw = document.raw(("a",))
    assert raw == "0x1F"
    assert document.raw(("nothing",)) is None
    assert document.raw(("b", "c")) == '"q"'
    document.put([Change(("a",), 5)])
    document.put([Change(("a",), Raw(raw))])
    assert document.render().decode() == text


@pytest.mark.parametrize(
    "data", [b"a = ", b"\xff", b"a = 1\na = 2\n", b"[model_providers]\n[model_providers]\n", b"a = 1\rb = 2"]
)
def test_what_does_not_parse_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        TomlDocument(data)


@pytest.mark.parametrize("text", ["model_providers = 3\n", "model_providers = 'x'\n"])
def test_a_parent_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        put(text, Change(NAME, "n"))


def test_names_that_need_quotes_get_them() -> None:
    assert tomllib.loads(put("", Change(("t", "a.b c"), "x"))) == {"t": {"a.b c": "x"}}
