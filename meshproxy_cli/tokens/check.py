"""Checks a document against the shape of a token spec, and makes a `TokenSpec` of it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from meshproxy_cli.suggest import did_you_mean
from meshproxy_cli.tokens.claims import ROLES
from meshproxy_cli.tokens.fields import FieldReader
from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.problems import Findings, nearest
from meshproxy_cli.tokens.scalars import as_text, is_blank, is_null, shown
from meshproxy_cli.tokens.scope import SECTIONS, Section
from meshproxy_cli.tokens.tokenspec import Override, TokenSpec
from meshproxy_cli.tokens.tree import Entry, Node, Place, Scalar, Table, from_json

VERSION: Final = "v1"
KIND: Final = "ParticipantToken"
TOP_LEVEL: Final = ("version", "kind", "identity", "room", "role", "api")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAMES: Final = {name: section for section in SECTIONS for name in (section.name, *section.older_names)}


def check_spec(root: Node, *, allow_unknown: bool, require_llm: bool) -> TokenSpec:
    """Return the spec that the document describes; raise `SpecError` with all that is wrong with it."""
    findings = Findings()
    spec = _Checker(findings, allow_unknown=allow_unknown, require_llm=require_llm).read(root)
    findings.raise_any()
    return spec


def overlaid(root: Node, overrides: Sequence[Override]) -> Node:
    """Return the document with the command line's values put over its own; what is no mapping stays as it is."""
    for override in overrides:
        if isinstance(root, Table):
            root = root.with_value(override.path, from_json(override.value, Place(override.option)))
    return root


class _Checker:
    """Reads one document; problems go to `findings`, and values read beside a problem are never used."""

    def __init__(self, findings: Findings, *, allow_unknown: bool, require_llm: bool) -> None:
        self._findings = findings
        self._fields = FieldReader(findings, allow_unknown=allow_unknown)
        self._allow_unknown = allow_unknown
        self._require_llm = require_llm

    def read(self, root: Node) -> TokenSpec:
        if not isinstance(root, Table):
            self._findings.add(root.place, f"a token spec is a mapping with version, kind, … (got {shown(root)})")
            return TokenSpec("")
        entries = self._fields.entries(root, "the token spec")
        self._fixed(entries, root.place, "version", VERSION)
        self._fixed(entries, root.place, "kind", KIND)
        return TokenSpec(
            identity=self._identity(entries, root.place),
            room=self._optional_text(entries, "room"),
            role=self._role(entries),
            api=self._api(entries, root.place),
            ignored=self._unknown(entries),
        )

    def _fixed(self, entries: Mapping[str, Entry], place: Place, name: str, wanted: str) -> None:
        entry = entries.get(name)
        if entry is None:
            self._findings.add(place, f"{name} is missing: add the line `{name}: {wanted}`")
        elif as_text(entry.value) != wanted:
            self._findings.add(entry.value.place, f"{name} must be {wanted} (got {shown(entry.value)})")

    def _identity(self, entries: Mapping[str, Entry], place: Place) -> str:
        entry = entries.get("identity")
        if entry is None or is_null(entry.value):
            self._findings.add(entry.place if entry else place, "identity is missing: add the line `identity: NAME`")
            return ""
        return self._text("identity", entry)

    def _optional_text(self, entries: Mapping[str, Entry], name: str) -> str | None:
        entry = entries.get(name)
        return None if entry is None or is_null(entry.value) else self._text(name, entry)

    def _text(self, name: str, entry: Entry) -> str:
        if is_blank(entry.value):
            self._findings.add(entry.place, f"{name} has no value: write one, or remove the line")
            return ""
        text = as_text(entry.value)
        if text is None:
            quotes = "; put it in quotes" if isinstance(entry.value, Scalar) else ""
            self._findings.add(entry.value.place, f"{name} must be a text (got {shown(entry.value)}{quotes})")
        elif not text.strip() or _CONTROL.search(text):
            self._findings.add(entry.value.place, f"{name} must not be blank, nor hold control characters")
        return text or ""

    def _role(self, entries: Mapping[str, Entry]) -> str | None:
        entry = entries.get("role")
        if entry is None or is_null(entry.value):
            return None
        role = as_text(entry.value)
        if role not in ROLES:
            near = did_you_mean(str(role), ROLES)
            self._findings.add(
                entry.value.place, f"role must be one of {', '.join(ROLES)} (got {shown(entry.value)}){near}"
            )
        return role

    def _api(self, entries: Mapping[str, Entry], place: Place) -> Mapping[str, Json]:
        entry = entries.get("api")
        if entry is None or is_null(entry.value) or is_blank(entry.value):
            message = "api is missing: add the line `api: {llm: {}}`"
            self._findings.add(entry.place if entry else place, message)
            return {}
        if not isinstance(entry.value, Table):
            self._findings.add(entry.value.place, f"api must be a mapping (got {shown(entry.value)})")
            return {}
        given = self._fields.entries(entry.value, "api")
        scope = {section.name: value for section in SECTIONS if (value := self._section(section, given)) is not None}
        if self._require_llm and "llm" not in scope and not ("llm" in given and is_blank(given["llm"].value)):
            message = (
                "api.llm is missing, so the Room Proxy would refuse every request: add the line `llm: {}` below api"
            )
            self._findings.add(entry.place, message)
        return scope | self._unknown_sections(given)

    def _section(self, section: Section, given: Mapping[str, Entry]) -> Json:
        entries = [given[name] for name in (section.name, *section.older_names) if name in given]
        for entry in entries[1:]:
            self._findings.add(entry.place, f"{entry.key} is another name of {entries[0].key}, which is given too")
        if not entries or is_null(entries[0].value):
            return None
        return self._fields.section(section, entries[0], f"api.{entries[0].key}")

    def _unknown_sections(self, given: Mapping[str, Entry]) -> dict[str, Json]:
        unknown = [entry for name, entry in given.items() if name not in _NAMES]
        if self._allow_unknown:
            return {entry.key: self._fields.as_it_is(entry) for entry in unknown}
        for entry in unknown:
            self._findings.add(entry.place, f'unknown key "{entry.key}" in api; {nearest(entry.key, _NAMES)}')
        return {}

    def _unknown(self, entries: Mapping[str, Entry]) -> tuple[str, ...]:
        unknown = [entry for name, entry in entries.items() if name not in TOP_LEVEL]
        if not self._allow_unknown:
            for entry in unknown:
                self._findings.add(entry.place, f'unknown key "{entry.key}"; {nearest(entry.key, TOP_LEVEL)}')
        return tuple(entry.key for entry in unknown)
