"""TLS towards clients: a certificate that can be exchanged while connections run."""

import ssl

from meshproxy_cli.errors import UsageError


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """Return the context for clients' TLS, None without a certificate. Raises `UsageError`."""
    if not certificate and not key:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as problem:
        raise UsageError(f"the TLS certificate or key can't be used: {problem}") from None
    return context


class ServerTls:
    """The context that a server listens with, and the one that new connections are given instead.

    A listening server keeps its context for good, and loading another certificate into it could fail halfway. So each
    handshake is handed the current context at its start, whether or not the client names a host (OpenSSL asks anyway).
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self.front = context
        self._current = context
        context.sni_callback = self._choose

    def use(self, context: ssl.SSLContext) -> None:
        """Give new connections this context; those that run keep theirs."""
        self._current = context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        if self._current is not self.front:
            connection.context = self._current
