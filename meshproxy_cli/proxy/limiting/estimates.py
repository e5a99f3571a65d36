"""What a request will probably use, so that it can be reserved before anybody knows.

The first guess is made from the size of the body, and is rather high: a hundred requests for a model that nobody has
used yet may come at once. What requests for the same model then really used corrects it,
with two mean deviations on top, so that many of them together seldom use more than was reserved.
"""

from dataclasses import dataclass

from meshproxy_cli.store.eventrows import to_picodollars
from meshproxy_cli.store.events import Outcome, UsageEvent

_BYTES_A_TOKEN = 3
_OUTPUT_TOKENS = 2000
_PRICED_TOKENS = 1000  # of these for money: few models cost as much as the one whose price is taken
#: Picodollars a token where there is no price: those of a large model, $5 and $25 for a million.
_INPUT_PRICE = 5_000_000
_OUTPUT_PRICE = 25_000_000
_WEIGHT = 0.1
_MODELS = 1000


@dataclass(slots=True)
class _Ratio:
    """What was used against the first guess: a running mean and mean deviation."""

    mean: float = 0.5
    deviation: float = 0.25
    careful: float = 1.0

    def learn(self, seen: float) -> None:
        self.deviation += _WEIGHT * (abs(seen - self.mean) - self.deviation)
        self.mean += _WEIGHT * (seen - self.mean)
        self.careful = self.mean + 2 * self.deviation


_UNKNOWN = _Ratio()


@dataclass(slots=True)
class Estimate:
    """What is reserved for one request; `first_*` are guesses from its size, which `Estimator.learn` compares with."""

    model: str
    tokens: int
    picodollars: int
    first_tokens: int
    first_picodollars: int


#: Of a request that no limit on tokens or money applies to.
NOTHING = Estimate("", 0, 0, 1, 1)


class Estimator:
    """Learns for each model; for a worker alone."""

    def __init__(self) -> None:
        self._tokens: dict[str, _Ratio] = {}
        self._dollars: dict[str, _Ratio] = {}

    def estimate(self, model: str, request_bytes: int) -> Estimate:
        """Return what to reserve."""
        read = request_bytes // _BYTES_A_TOKEN + 1
        tokens, picodollars = read + _OUTPUT_TOKENS, read * _INPUT_PRICE + _PRICED_TOKENS * _OUTPUT_PRICE
        return Estimate(
            model=model,
            tokens=int(tokens * self._tokens.get(model, _UNKNOWN).careful) or 1,
            picodollars=int(picodollars * self._dollars.get(model, _UNKNOWN).careful) or 1,
            first_tokens=tokens,
            first_picodollars=picodollars,
        )

    def learn(self, estimate: Estimate, event: UsageEvent) -> None:
        """Compare an answered request with what was guessed."""
        if event.outcome is not Outcome.OK or not event.metered or not used_tokens(event):
            return
        if len(self._tokens) > _MODELS:  # model names come from clients
            self._tokens.clear()
            self._dollars.clear()
        self._tokens.setdefault(estimate.model, _Ratio()).learn(used_tokens(event) / estimate.first_tokens)
        if event.cost_usd is not None:
            cost = to_picodollars(event.cost_usd)
            self._dollars.setdefault(estimate.model, _Ratio()).learn(cost / estimate.first_picodollars)


def used_tokens(event: UsageEvent) -> int:
    """Return what counts towards a limit of tokens: everything read and written."""
    return event.tokens.input_tokens + event.tokens.output_tokens


def used_picodollars(event: UsageEvent, reserved: int) -> int:
    """Return what counts towards a budget: the event's price; without one that of a large model, never nothing."""
    if event.cost_usd is not None:
        return to_picodollars(event.cost_usd)
    if used_tokens(event):
        return event.tokens.input_tokens * _INPUT_PRICE + event.tokens.output_tokens * _OUTPUT_PRICE
    return reserved if unmetered(event) else 0


def unmetered(event: UsageEvent) -> bool:
    """Whether an answer came whose usage nobody knows: then the estimate counts."""
    return event.outcome is Outcome.OK and not event.metered
