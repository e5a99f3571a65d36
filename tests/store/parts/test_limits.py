from dataclasses import replace
from decimal import Decimal

import pytest

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope, Project
from meshproxy_cli.store.store import Store


def test_limits_are_exact_and_keyed_by_scope_subject_and_kind(store: Store, project: Project) -> None:
    daily = Limit(
        project_id=project.id,
        scope=LimitScope.PARTICIPANT,
        subject="*",
        kind=LimitKind.USD_PER_DAY,
        amount=Decimal("0.1000000000000000000001"),
    )
    monthly = replace(daily, kind=LimitKind.USD_PER_MONTH, amount=Decimal(2000), hard=False)
    store.limits.put(daily)
    store.limits.put(monthly)
    assert store.limits.list() == (daily, monthly)
    assert str(store.limits.list(project.id)[1].amount) == "2000"
    store.limits.put(replace(daily, amount=Decimal(7)))
    assert store.limits.list(project.id)[0].amount == 7
    store.limits.remove(daily)
    assert store.limits.list(project.id) == (monthly,)
    with pytest.raises(NotFoundError, match="participant"):
        store.limits.remove(daily)
    assert store.limits.list("another project") == ()
