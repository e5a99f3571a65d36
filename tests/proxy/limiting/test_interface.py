import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.limiting.interface import ADMITTED, AdmitAll, Limiter, is_free

CALLER = Caller("p", "lab", "s", "ann", "k", "", None)


def test_without_a_limiter_every_request_goes_on() -> None:
    limiter: Limiter = AdmitAll()
    limiter.start()
    limiter.update(())
    assert limiter.admit(CALLER, "openai", "/v1/responses", 10**9, "gpt") is ADMITTED
    limiter.stop()


@pytest.mark.parametrize(
    ("endpoint", "free"),
    [
        ("/v1/messages/count_tokens", True),
        ("/v1/responses/input_tokens", True),
        ("/v1/models", True),
        ("/v1/models/gpt-5.4", True),
        ("/v1/messages", False),
        ("/v1/responses", False),
        ("/v1/responses/compact", False),
        ("/v1/realtime", False),
        ("/v1/chat/completions", False),
        ("/v1/messages/batches", False),
        ("/v1/embeddings", False),
    ],
)
def test_only_what_makes_no_model_work_is_free(endpoint: str, *, free: bool) -> None:
    assert is_free(endpoint) is free
