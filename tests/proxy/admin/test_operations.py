"""Health, metrics and how workers share them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from fixtures.webserver import Site, make_site
from meshproxy_cli.proxy.admin.metrics import render
from meshproxy_cli.proxy.admin.services import Health, Metric, MetricKind, Sample
from meshproxy_cli.proxy.config.server import ConfigError, load_config
from meshproxy_cli.proxy.metrics.peers import Peers

_LINE = re.compile(
    r'# (HELP|TYPE) meshproxy_\w+ .+|meshproxy_\w+(\{\w+="([^"\\\n]|\\.)*"(,\w+="([^"\\\n]|\\.)*")*\})? [0-9.e+-]+'
)
HISTOGRAM = Metric(
    "wait_seconds",
    MetricKind.HISTOGRAM,
    "Waiting.",
    (
        Sample(2, (("le", "0.5"),), "_bucket"),
        Sample(3, (("le", "+Inf"),), "_bucket"),
        Sample(1.25, (), "_sum"),
        Sample(3, (), "_count"),
    ),
)


def requests(number: int) -> Metric:
    return Metric("requests_total", MetricKind.COUNTER, "Requests.", (Sample(number, (("model", 'a"b\\c\nd'),)),))


@pytest.fixture
def measured(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path, metrics=lambda: (requests(3), HISTOGRAM))
    yield site
    site.store.close()


def test_text_format() -> None:
    text = render((requests(3), HISTOGRAM))
    assert text == (
        "# HELP meshproxy_requests_total Requests.\n"
        "# TYPE meshproxy_requests_total counter\n"
        'meshproxy_requests_total{model="a\\"b\\\\c\\nd"} 3\n'
        "# HELP meshproxy_wait_seconds Waiting.\n"
        "# TYPE meshproxy_wait_seconds histogram\n"
        'meshproxy_wait_seconds_bucket{le="0.5"} 2\n'
        'meshproxy_wait_seconds_bucket{le="+Inf"} 3\n'
        "meshproxy_wait_seconds_sum 1.25\n"
        "meshproxy_wait_seconds_count 3\n"
    )
    assert all(_LINE.fullmatch(line) for line in text.splitlines())


def test_metrics_want_a_token(measured: Site) -> None:
    assert measured.client().get("/metrics").status_code == 401
    answer = measured.client(measured.viewer).get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "meshproxy_requests_total" in answer.text


def test_metrics_can_be_open(tmp_path: Path) -> None:
    site = make_site(tmp_path, metrics_open=True, metrics=lambda: (HISTOGRAM,))
    assert site.client().get("/metrics").status_code == 200
    assert site.client().get("/accounts/projects").status_code == 401
    site.store.close()


@pytest.mark.parametrize(("text", "is_open"), [("", False), ("[metrics]\nopen = true", True)])
def test_open_metrics_are_configured(text: str, is_open: bool) -> None:  # noqa: FBT001 (a parameter of a test)
    assert load_config(text, {}, str).open_metrics is is_open


@pytest.mark.parametrize("text", ["metrics = 1", '[metrics]\nopen = "yes"'])
def test_wrong_settings_of_metrics_are_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"metrics\.open"):
        load_config(text, {}, str)


def test_health(site: Site, tmp_path: Path) -> None:
    client: TestClient = site.client()
    assert (client.get("/healthz").status_code, client.get("/healthz").text) == (200, "ok\n")
    assert client.get("/readyz").json() == {"status": "ok", "reasons": [], "version": "9.9.9"}
    (tmp_path / "away").mkdir()
    degraded = make_site(tmp_path / "away", health=lambda: Health(("the store is away",)))
    answer = degraded.client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "degraded", "reasons": ["the store is away"], "version": "9.9.9"}
    degraded.store.close()


def test_a_server_that_ends_is_not_ready(tmp_path: Path) -> None:
    ending = make_site(tmp_path, health=lambda: Health(("the store is away",), ending=True))
    answer = ending.client().get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "ending")
    assert ending.client().get("/healthz").status_code == 200
    ending.store.close()


def test_workers_show_each_others_metrics(tmp_path: Path) -> None:
    first, second, third = (Peers(tmp_path, number) for number in range(3))
    second.publish(lambda: (requests(5),), 2, now=100.0)
    third.publish(lambda: (requests(7), HISTOGRAM), 1, now=95.0)
    assert [(peer.worker, peer.streams_open) for peer in first.others(now=101.0)] == [(1, 2), (2, 1)]
    third.withdraw()
    assert [peer.worker for peer in first.others(now=101.0)] == [1]
    assert first.others(now=200.0) == ()
    assert [peer.worker for peer in second.others(now=101.0)] == []


def test_series_of_workers_stay_apart(tmp_path: Path) -> None:
    first, second = Peers(tmp_path, 0), Peers(tmp_path, 1)
    second.publish(lambda: (requests(5), HISTOGRAM), 0)
    families = {metric.name: metric for metric in first.merged((requests(3),))}
    assert [(sample.value, sample.labels[-1]) for sample in families["requests_total"].samples] == [
        (3, ("worker", "0")), (5, ("worker", "1")),
    ]  # fmt: skip
    text = render(families.values())
    assert text.count("# TYPE meshproxy_requests_total") == 1
    assert text.count("_bucket") == 2


def test_a_damaged_file_of_a_worker_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{", "utf-8")
    (tmp_path / "2.json").write_text(json.dumps({"worker": "x"}), "utf-8")
    assert Peers(tmp_path, 0).others() == ()
    assert Peers(tmp_path / "none", 0).others() == ()


def test_numbers_are_written_once_a_second_at_most(tmp_path: Path) -> None:
    peers, reader = Peers(tmp_path, 1), Peers(tmp_path, 0)
    for moment, streams in ((100.0, 1), (100.5, 2), (101.0, 3)):
        peers.publish(tuple, streams, now=moment)
        expected = 1 if moment < 101 else 3
        assert [peer.streams_open for peer in reader.others(now=moment)] == [expected]
    assert [path.name for path in tmp_path.iterdir()] == ["1.json"]
