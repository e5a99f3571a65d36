"""Workers, the store, and messages that take their time: together they never go past a limit that counts exactly."""

from dataclasses import dataclass, field
from random import Random

import pytest

from meshproxy_cli.proxy.limiting.allowance import Allowance, Verdict
from meshproxy_cli.store.leases import Counter, LeaseAnswer, LeaseRequest, share
from meshproxy_cli.store.records import LimitKind, LimitScope

NOON = 1_795_435_200_000_000
MINUTE = 60_000_000
COUNTER = Counter("p", LimitScope.ROOM, LimitKind.REQUESTS_PER_MINUTE, name="lab")


@dataclass
class Shop:
    """A store with one counter, which grants as the real one does."""

    amount: int
    spent: int = 0
    held: dict[int, int] = field(default_factory=dict)

    def exchange(self, holder: int, request: LeaseRequest) -> LeaseAnswer:
        self.spent += request.spent
        others = sum(self.held.values()) - self.held.get(holder, 0)
        spare = share(request, spent=self.spent, others=others)
        self.held[holder] = request.in_flight + spare
        left = self.amount - self.spent - others - self.held[holder]
        return LeaseAnswer(spare=spare, spent=self.spent, left=left, others=others)


@dataclass
class Desk:
    """A worker: what it asked the store for, and what is on its way back."""

    number: int
    allowance: Allowance
    request: LeaseRequest | None = None
    answer: LeaseAnswer | None = None
    waiting: int = 0

    def ask(self, now: int) -> int:
        """Let a request come in; return how many went on."""
        verdict = self.allowance.ask(1, now)
        if verdict is Verdict.YES:
            self.allowance.take(1)
        self.waiting += verdict is Verdict.ASK
        return int(verdict is Verdict.YES)

    def step(self, shop: Shop, now: int) -> int:
        """Take the next step of an exchange; return how many of those that waited went on."""
        if self.answer is not None:
            self.allowance.apply_response(self.answer, now)
            self.request, self.answer = None, None
            waiting, self.waiting = self.waiting, 0
            return sum(self.ask(now) for _ in range(waiting))
        if self.request is not None:
            self.answer = shop.exchange(self.number, self.request)
        else:
            self.allowance.needed = self.waiting
            self.request = self.allowance.message_to_store(now)
        return 0


@pytest.mark.parametrize("seed", range(20))
def test_requests_never_go_past_their_limit(seed: int) -> None:
    random = Random(seed)
    shop = Shop(random.choice((30, 100, 700)))
    desks = [Desk(n, Allowance(COUNTER, NOON, NOON + MINUTE, shop.amount, hard=True)) for n in range(4)]
    admitted, now = 0, NOON
    exchanges = random.choice((0.03, 0.1, 0.3))
    for _ in range(6_000):
        now += random.randrange(2_000)
        desk = random.choice(desks)
        if random.random() < exchanges:
            admitted += desk.step(shop, now)
        elif random.random() < 0.3:
            admitted += desk.ask(now)
    assert shop.amount * 0.8 <= admitted <= shop.amount
