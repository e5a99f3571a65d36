from meshproxy_cli.proxy.limiting.allowance import Allowance, Verdict
from meshproxy_cli.store.leases import Counter, LeaseAnswer
from meshproxy_cli.store.records import LimitKind, LimitScope

NOON = 1_795_435_200_000_000
MINUTE = 60_000_000


def allowance(kind: LimitKind = LimitKind.REQUESTS_PER_MINUTE, amount: int = 100, *, hard: bool = True) -> Allowance:
    return Allowance(Counter("p", LimitScope.ROOM, kind, name="lab"), NOON, NOON + MINUTE, amount, hard)


def leased(spare: int, kind: LimitKind = LimitKind.REQUESTS_PER_MINUTE) -> Allowance:
    made = allowance(kind)
    made.needed = spare
    assert made.message_to_store(NOON) is not None
    made.apply_response(LeaseAnswer(spare=spare, spent=0, left=100 - spare, others=0), NOON)
    made.needed = 0
    return made


def test_nothing_is_used_without_a_lease() -> None:
    made = allowance()
    assert made.ask(1, NOON) is Verdict.ASK
    made.refuse_for_now(NOON)
    assert made.ask(1, NOON + 1) is Verdict.NO
    assert made.ask(1, NOON + 300_000) is Verdict.ASK


def test_what_is_on_its_way_back_is_not_used() -> None:
    made = leased(10)
    message = made.message_to_store(NOON + 1_000_000)
    assert message is not None
    assert (message.in_flight, message.wanted) == (0, 0)
    assert made.ask(1, NOON + 1_000_000) is Verdict.ASK, "the store may have given it to others already"


def test_only_one_message_is_under_way() -> None:
    made = allowance()
    made.needed = 1
    assert made.message_to_store(NOON) is not None
    assert made.message_to_store(NOON) is None
    made.mark_failed()
    assert made.message_to_store(NOON) is not None


def test_what_is_used_while_the_store_answers_is_told_next() -> None:
    made = leased(10)
    made.take(1)
    made.needed = 5
    message = made.message_to_store(NOON + 100_000)
    assert message is not None
    assert message.spent == 1
    kept = made.spare
    made.take(1)
    made.take(1)
    made.apply_response(LeaseAnswer(spare=kept + 3, spent=1, left=50, others=0), NOON + 110_000)
    assert (made.unreported, made.spare) == (2, kept + 3 - 2)


def test_what_turns_out_to_be_more_is_owed() -> None:
    made = leased(50, LimitKind.TOKENS_PER_MINUTE)
    reserved = made.take(50)
    made.settle(reserved, 80)
    assert (made.spare, made.in_flight, made.unreported) == (-30, 0, 80)
    assert made.ask(1, NOON) is Verdict.ASK
    assert made.message_to_store(NOON + 1) is not None
    made.apply_response(LeaseAnswer(spare=0, spent=80, left=20, others=0), NOON + 1)
    assert (made.spare, made.unreported) == (0, 0)


def test_what_turns_out_to_be_less_is_there_again() -> None:
    made = leased(50, LimitKind.TOKENS_PER_MINUTE)
    made.settle(made.take(50), 20)
    assert (made.spare, made.unreported) == (30, 20)


def test_a_lease_is_renewed_while_something_runs() -> None:
    made = leased(1, LimitKind.CONCURRENT_STREAMS)
    made.take(1)
    assert made.message_to_store(NOON + 1_000_000) is None
    renewed = made.message_to_store(NOON + 6_000_000)
    assert renewed is not None
    assert renewed.in_flight == 1


def test_a_limit_that_was_lowered_reaches_streams_that_come_and_go() -> None:
    """They use nothing up, so nothing else would have to be told."""
    made = leased(10, LimitKind.CONCURRENT_STREAMS)
    for tenth in range(1, 20):
        for _ in range(2):
            made.settle(made.take(1), 0)
        if made.message_to_store(NOON + tenth * 100_000) is not None:
            made.apply_response(LeaseAnswer(spare=10, spent=0, left=90, others=0), NOON + tenth * 100_000)
    made.change(100, hard=True)
    assert made.message_to_store(NOON + 2_000_000) is None
    made.change(0, hard=True)
    message = made.message_to_store(NOON + 2_000_000)
    assert message is not None
    assert message.amount == 0
    made.apply_response(LeaseAnswer(spare=0, spent=0, left=0, others=0), NOON + 2_000_000)
    assert made.ask(1, NOON + 2_000_000) is Verdict.ASK


def test_a_window_is_forgotten_once_everything_is_told() -> None:
    made = leased(5)
    made.take(1)
    assert not made.over(NOON + MINUTE)
    assert made.message_to_store(NOON + MINUTE) is not None
    assert not made.over(NOON + MINUTE)
    made.apply_response(LeaseAnswer(spare=0, spent=1, left=99, others=0), NOON + MINUTE)
    assert made.over(NOON + MINUTE)
    assert not leased(5).over(NOON + MINUTE - 1)


def test_a_soft_limit_never_says_no() -> None:
    made = allowance(amount=1, hard=False)
    for _ in range(5):
        assert made.ask(1, NOON) is Verdict.YES
        made.take(1)
    assert made.exceeded()
