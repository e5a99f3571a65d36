"""`/metrics`: the metrics that the server hands over, in Prometheus' text format (version 0.0.4)."""

from collections.abc import Iterable, Iterator

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from meshproxy_cli.proxy.admin.access import authenticate, services_of
from meshproxy_cli.proxy.admin.services import Metric, Sample

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def render(metrics: Iterable[Metric]) -> str:
    """Return the text that Prometheus scrapes."""
    return "".join(f"{line}\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    name = f"meshproxy_{metric.name}"
    yield f"# HELP {name} {metric.help}"
    yield f"# TYPE {name} {metric.kind}"
    for sample in metric.samples:
        yield f"{name}{sample.suffix}{_labels(sample)} {_number(sample.value)}"


def _labels(sample: Sample) -> str:
    if not sample.labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in sample.labels) + "}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


async def _metrics(request: Request) -> Response:
    services = services_of(request)
    if not services.metrics_open:
        await authenticate(request, admin=False)
    return Response(render(await to_thread.run_sync(services.metrics)), media_type=_TYPE)


ROUTES = (Route("/metrics", _metrics),)
