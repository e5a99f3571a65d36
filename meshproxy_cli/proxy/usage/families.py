"""Families of models: what a model that the price list does not know yet probably costs.

A name is taken apart into words and versions: `gpt-6.2-sol` is version 6.2 of the family `gpt-sol`. A model has the
rates of the newest listed model of its family. Prefixes of resellers (`us.anthropic.`, `openai/`), fine-tuning
(`ft:…:team::id`), dates and `latest` are no part of the family.
"""

import re
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genai_prices.types import ModelInfo

Family = tuple[str, ...]
Version = tuple[int, ...]

_LONGEST_NAME = 100
_VERSION = re.compile(r"v?\d{1,4}(?:\.\d{1,4}){0,8}")
_DATE = re.compile(r"20\d{6}|20\d\d-\d\d-\d\d")
_WORD = re.compile(r"[^-@:_]++")
_RESELLER = re.compile(
    r"(?:[a-z]{1,20}\.)?(?:anthropic|openai|google|meta|mistral|deepseek|amazon|qwen|moonshotai|zai|nvidia|writer|cohere)\."
)
_NO_PART_OF_IT = frozenset({"latest", "preview", "exp", "experimental", "default"})


def family_of(model: str) -> tuple[Family, Version]:
    """Return the words and the version of a model's name; no words at all for a name that can't be taken apart."""
    name = model.lower()
    if len(name) > _LONGEST_NAME:
        return (), ()
    if name.startswith("ft:"):
        name = name[3:].partition(":")[0]
    name = name.rpartition("/")[2]
    name = _RESELLER.sub("", name, count=1) if _RESELLER.match(name) else name
    words: list[str] = []
    version: list[int] = []
    for word in _WORD.findall(_DATE.sub("", name)):
        if _VERSION.fullmatch(word):
            version += map(int, word.removeprefix("v").split("."))
        elif word not in _NO_PART_OF_IT:
            words.append(word)
    return tuple(words), tuple(version)


@cache
def _is_variant(model: str) -> bool:
    return ":" in model or "/" in model


def newest(models: "Iterable[ModelInfo]", wanted: str, moment: datetime) -> "ModelInfo | None":
    """Return the newest listed model of the family that `wanted` continues; None if the family is not known."""
    family, version = family_of(wanted)
    if not family or not version:
        return None
    found: list[tuple[Version, ModelInfo]] = []
    for model in models:
        words, number = family_of(model.id)
        if words == family and number and not _is_variant(model.id) and model.get_prices(moment).input_mtok is not None:
            found.append((number, model))
    return max(found, key=lambda entry: entry[0])[1] if found else None
