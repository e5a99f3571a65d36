"""Anthropic's `usage.iterations`: what an answer is made of where more than one inference went into it.

Entries: `message` (a turn of the answering or of a declining model), `fallback_message` (the turn of the model that a
refused answer fell back on), `compaction` (summarising the context) and `advisor_message` (another model consulted).
The totals beside the list include the first two kinds only. Source: types `BetaIterationsUsage` and its members of
Anthropic's Python SDK.
"""

from collections.abc import Callable
from typing import Any

from meshproxy_cli.proxy.usage.numbers import Json, name_of, subtracted, summed
from meshproxy_cli.proxy.usage.reading import ModelShare
from meshproxy_cli.store.events import TokenCounts

_NONE = TokenCounts()


def split_by_model(
    usage: Json, tokens_of: Callable[[Json], TokenCounts], *, asked: str, answered: str
) -> tuple[TokenCounts, tuple[ModelShare, ...]]:
    """Return what the answering model used, compaction included, and what others did, each at its own rates.

    A hop that declined before it wrote anything is not billed by Anthropic, and is left out.
    """
    entries = _entries(usage)
    total = tokens_of(usage)
    turns = [entry for entry in entries if entry["type"] in {"message", "fallback_message"}]
    whole = total
    others: list[ModelShare] = []
    if turns and _same(total, _total(turns, tokens_of)):
        declined = [entry for entry in turns if _model_of(entry, asked, answered) != answered]
        whole = subtracted(total, _total(declined, tokens_of))
        others += _shares(declined, tokens_of, asked)
    for entry in entries:
        if entry["type"] == "compaction":
            whole = summed(whole, tokens_of(entry))
    others += _shares([entry for entry in entries if entry["type"] == "advisor_message"], tokens_of, "")
    return whole, tuple(others)


def _entries(usage: Json) -> list[dict[str, Any]]:
    entries = usage.get("iterations")
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("type"), str)]


def _model_of(entry: Json, asked: str, answered: str) -> str:
    if entry["type"] == "fallback_message":
        return answered
    return name_of(entry, "model") or asked


def _total(entries: list[dict[str, Any]], tokens_of: Callable[[Json], TokenCounts]) -> TokenCounts:
    total = _NONE
    for entry in entries:
        total = summed(total, tokens_of(entry))
    return total


def _same(one: TokenCounts, other: TokenCounts) -> bool:
    return (one.input_tokens, one.output_tokens) == (other.input_tokens, other.output_tokens)


def _shares(entries: list[dict[str, Any]], tokens_of: Callable[[Json], TokenCounts], model: str) -> list[ModelShare]:
    shares = [ModelShare(model=name_of(entry, "model") or model, tokens=tokens_of(entry)) for entry in entries]
    return [share for share in shares if share.tokens.output_tokens]
