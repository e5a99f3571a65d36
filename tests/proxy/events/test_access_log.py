"""One line for each usage event."""

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from meshproxy_cli.proxy.events.access_log import AccessLog
from meshproxy_cli.proxy.process.logs import JsonLines, PeopleLines
from meshproxy_cli.proxy.redaction import Redactor
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent

EVENT = UsageEvent(
    event_id="0",
    request_id="req_1",
    started_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
    project_id="p",
    room="lab",
    session="ann's codex",
    participant="ann",
    key_id="k",
    agent="codex_exec",
    provider="openai",
    endpoint="/v1/responses",
    method="POST",
    streamed=True,
    status=200,
    outcome=Outcome.OK,
    model_requested="default",
    model_served="gpt-5.4",
    tokens=TokenCounts(input_tokens=7, output_tokens=2),
    duration_ms=1234.56,
    ttfb_ms=12.34,
)


def test_a_line_has_who_what_how_long_and_how_much(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "meshproxy_cli")
    AccessLog(wanted=True).observe([EVENT, replace(EVENT, status=429, outcome=Outcome.REFUSED, error="too_much")])
    first, second = caplog.records
    assert (
        PeopleLines("shipper", Redactor())
        .format(first)
        .endswith(
            "INFO shipper: POST /v1/responses 200 started_at=2026-11-23T12:00:00.000+00:00 outcome=ok room=lab "
            'session="ann\'s codex" participant=ann agent=codex_exec provider=openai model=gpt-5.4 duration_ms=1234.6 '
            "ttfb_ms=12.3 input_tokens=7 output_tokens=2 [req_1]"
        )
    )
    found = json.loads(JsonLines("shipper", Redactor()).format(second))
    assert (found["message"], found["error"], found["request_id"]) == ("POST /v1/responses 429", "too_much", "req_1")


def test_only_where_it_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "meshproxy_cli")
    AccessLog(wanted=False).observe([EVENT])
    assert caplog.records == []
