"""One request, whatever the answer is."""

import pytest

from doctor.broken_installs import stand_in
from meshproxy_cli.doctor.ask import ask
from meshproxy_cli.errors import UnavailableError


@pytest.mark.parametrize("status", [200, 401, 500])
def test_every_answer_is_read(status: int) -> None:
    with stand_in(status=status, body="said") as url:
        reply = ask("GET", url, limit_s=10)
    assert (reply.status, reply.body) == (status, b"said")
    assert "date" in reply.headers
    assert 0 <= reply.first_s <= reply.total_s


def test_nobody_there() -> None:
    with pytest.raises(UnavailableError, match="can't be reached"):
        ask("GET", "http://127.0.0.1:1", limit_s=5)
