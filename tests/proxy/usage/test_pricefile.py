from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices import Usage

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.proxy.usage.pricefile import PriceFileError, parse_price_file, read_price_file

FILE = b"""
[[price]]
model = "acme-coder*"
provider = "openai"
input_mtok = 0.1
output_mtok = { base = 15, tiers = [{ start = 200000, price = 22.5 }] }

[[price]]
model = "acme-coder*"
service_tier = "flex"
input_mtok = 0.05

[[price]]
model = "acme-coder-2"
input_mtok = 7
"""


def test_the_first_entry_that_fits_counts() -> None:
    file = parse_price_file(FILE)

    def rate(model: str, provider: str = "openai", tier: str = "") -> object:
        prices = file.find(provider=provider, model=model, service_tier=tier)
        return prices and prices.input_mtok

    assert rate("acme-coder-2") == Decimal("0.1")
    assert rate("acme-coder-2", tier="default") == Decimal("0.1")
    assert rate("acme-coder-2", tier="flex") == Decimal("0.05")
    assert rate("acme-coder-2", provider="other") == 7
    assert rate("acme-coder-2", tier="priority") is None
    assert rate("acme") is None


def test_numbers_are_exactly_those_that_are_written() -> None:
    prices = parse_price_file(FILE).find(provider="openai", model="acme-coder", service_tier="")
    assert prices is not None
    assert prices.calc_price(Usage(input_tokens=3))["total_price"] == Decimal("0.0000003")
    assert prices.calc_price(Usage(input_tokens=200_001, output_tokens=10))["output_price"] == Decimal("0.000225")


def test_the_snapshot_tells_versions_of_the_file_apart() -> None:
    one, other = parse_price_file(FILE, "prices.toml"), parse_price_file(FILE + b"\n", "prices.toml")
    assert one.snapshot.startswith("prices.toml ")
    assert one.snapshot != other.snapshot


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[price]", "not valid TOML"),
        ('[[prices]]\nmodel = "a"', "unknown key 'prices'"),
        ("price = 1", "[[price]] tables"),
        ("price = [1]", "price 1 is no table"),
        ("[[price]]\ninput_mtok = 1", "price 1: model must be text"),
        ('[[price]]\nmodel = "a"\nprovider = 1\ninput_mtok = 1', "provider must be text"),
        ('[[price]]\nmodel = "a"', "no price is given"),
        ('[[price]]\nmodel = "a"\ninputs = 1', "unknown key inputs"),
        ('[[price]]\nmodel = "a"\ncalc_price = 1', "unknown key calc_price"),
        ('[[price]]\nmodel = "a"\ninput_mtok = "1"', "input_mtok must be a number"),
        ('[[price]]\nmodel = "a"\ninput_mtok = -1', "input_mtok must be a number"),
        ('[[price]]\nmodel = "a"\ninput_mtok = inf', "input_mtok must be a number"),
        ('[[price]]\nmodel = "a"\ninput_mtok = true', "input_mtok must be a number"),
        ('[[price]]\nmodel = "a"\ninput_mtok = { base = 1 }', "needs base and tiers"),
        ('[[price]]\nmodel = "a"\ncache_read_mtok = 1', "Missing ancestor price"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(text: str, problem: str) -> None:
    with pytest.raises(PriceFileError) as caught:
        parse_price_file(text.encode())
    assert problem in caught.value.message


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(PriceFileError) as caught:
        parse_price_file(b'[[price]]\nmodel = "a"\n[[price]]\nmodel = "b"\nx = 1')
    assert "price 1 (a)" in caught.value.message
    assert "price 2 (b)" in caught.value.message


def test_files_that_cannot_be_read_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"prices\.toml"):
        read_price_file(tmp_path / "prices.toml")
    with pytest.raises(PriceFileError, match="can't be read"):
        read_price_file(tmp_path)
    (tmp_path / "latin1.toml").write_bytes(b"# \xe9")
    with pytest.raises(PriceFileError, match="not valid TOML"):
        read_price_file(tmp_path / "latin1.toml")
