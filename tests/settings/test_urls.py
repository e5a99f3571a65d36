import pytest

from meshproxy_cli.settings.urls import UrlError, is_loopback, server_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://mesh.example.com", "https://mesh.example.com"),
        (" https://Mesh.Example.com:8443/base/ ", "https://mesh.example.com:8443/base"),
        ("http://127.0.0.1:8765/", "http://127.0.0.1:8765"),
        ("http://[::1]:8765", "http://[::1]:8765"),
        ("http://localhost:1", "http://localhost:1"),
    ],
)
def test_good_urls_lose_their_last_slash(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "mesh", "ftp://x", "file:///etc/passwd", "https://", "https://x:port", "https://x/?a=b", "https://x/#y"],
)
def test_what_is_no_base_url_is_refused(text: str) -> None:
    with pytest.raises(UrlError):
        server_url(text)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UrlError) as refusal:
        server_url("https://me:hunter2@mesh.example.com")
    assert "hunter2" not in refusal.value.message + str(refusal.value.hint)


@pytest.mark.parametrize("text", ["http://mesh.example.com", "http://10.0.0.1:80", "http://127.0.0.1.example.com"])
def test_plain_http_to_others_needs_to_be_allowed(text: str) -> None:
    with pytest.raises(UrlError, match="unencrypted"):
        server_url(text)
    assert server_url(text, insecure_http=True) == text


def test_loopback() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "a.localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("example.com", "10.0.0.1", "localhost.example.com")] == [False] * 3
