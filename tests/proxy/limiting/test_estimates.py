from dataclasses import replace
from decimal import Decimal
from random import Random

from meshproxy_cli.proxy.limiting.estimates import Estimator, used_picodollars, used_tokens
from meshproxy_cli.store.events import Outcome, TokenCounts

from .conftest import EVENT, used


def test_an_unknown_model_is_guessed_from_the_body() -> None:
    estimator = Estimator()
    small, large = estimator.estimate("m", 400), estimator.estimate("m", 400_000)
    assert (small.tokens, large.tokens) == (2134, 135_334)
    assert small.picodollars < large.picodollars


def test_what_was_used_is_learned_for_each_model() -> None:
    estimator, chance = Estimator(), Random(1)
    before = estimator.estimate("cheap", 40_000)
    for _ in range(200):
        cost = Decimal("0.001") * Decimal(chance.uniform(0.8, 1.2))
        estimator.learn(before, used(chance.randrange(800, 1200), str(cost)))
    after = estimator.estimate("cheap", 40_000)
    assert 1_000 < after.tokens < 1_500
    assert 10**9 < after.picodollars < 15 * 10**8
    assert estimator.estimate("other", 40_000).tokens == before.tokens


def test_failures_teach_nothing() -> None:
    estimator = Estimator()
    first = estimator.estimate("m", 4000)
    for event in (used(0), used(5, outcome=Outcome.PROVIDER_ERROR), used(5, metered=False)):
        estimator.learn(first, event)
    assert estimator.estimate("m", 4000).tokens == first.tokens


def test_names_that_clients_make_up_take_no_memory_without_end() -> None:
    estimator = Estimator()
    for number in range(5000):
        estimator.learn(estimator.estimate(str(number), 10), used(10, "0.1"))
    assert len(estimator._tokens) <= 1001


def test_what_counts() -> None:
    tokens = TokenCounts(input_tokens=100, cached_input_tokens=90, output_tokens=10, reasoning_tokens=5)
    event = replace(EVENT, tokens=tokens)
    assert used_tokens(event) == 110
    assert used_picodollars(replace(event, cost_usd=Decimal("0.5")), 7) == 5 * 10**11
    assert used_picodollars(event, 7) == 100 * 5_000_000 + 10 * 25_000_000
    assert used_picodollars(used(0), 7) == 0
    assert used_picodollars(used(0, metered=False), 7) == 7
