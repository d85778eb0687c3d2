"""What a network does to a request, provoked with real sockets: each is told apart by the class of its error."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import globus_sdk
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from prefect_globus.globus.service import GlobusService
from prefect_globus.tasks.patience import patiently
from prefect_globus.tasks.stopping import Stop
from prefect_globus.transfers.errors import (
    GlobusError,
    GlobusTransientError,
    GlobusUnreachableError,
    GlobusUntrustedError,
)
from prefect_globus.transfers.options import TransferOptions
from support.ports import free_port

COLLECTION = UUID("7d2b1c84-2c5b-4c0e-9a52-0c6a3f1e0a01")
TIMEOUT = 0.3
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

Conversation = Callable[[socket.socket], None]


def reset(connection: socket.socket) -> None:
    """Close with RST, as a host that has crashed and come back."""
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_unread(connection: socket.socket) -> None:
    """Close with RST before the request was read, so that the client may still be writing."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(connection: socket.socket) -> None:
    """Close without an answer."""
    connection.recv(65536)


def close_in_headers(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD[:20])


def half_a_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"DATA_TYPE": ')


def half_a_chunk(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b'Transfer-Encoding: chunked\r\n\r\n40\r\n{"DATA_TYPE": ')


def hang(connection: socket.socket) -> None:
    """Say nothing until the client has given up."""
    while connection.recv(65536):
        pass


def hang_in_the_body(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    hang(connection)


def babble(connection: socket.socket) -> None:
    """Speak another protocol."""
    connection.recv(65536)
    connection.sendall(b"220 mail.example.org ESMTP\r\n")


def portal(connection: socket.socket) -> None:
    """Answer with a page, as the login of a hotel's network does."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")


def other_document(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(HEAD + b"Content-Length: 2\r\n\r\n[]")


class Server:
    """One conversation with each client that connects, in a thread; over TLS when it has a context."""

    def __init__(self, conversation: Conversation, tls: ssl.SSLContext | None = None) -> None:
        self._conversation = conversation
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.conversations = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.conversations += 1
            with connection, contextlib.suppress(OSError):
                if self._tls is None:
                    self._conversation(connection)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as secure:
                        self._conversation(secure)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def served() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(conversation: Conversation, tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(conversation, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], GlobusError]]:
    """Ask for a collection at an address; how that went wrong."""
    monkeypatch.setenv("GLOBUS_SDK_HTTP_TIMEOUT", str(TIMEOUT))
    services: list[GlobusService] = []

    def fail(url: str) -> GlobusError:
        token = globus_sdk.AccessTokenAuthorizer("a-secret-token")
        services.append(GlobusService(lambda: globus_sdk.TransferClient(authorizer=token, base_url=url)))
        with services[-1]._client.retry_config.tune(max_retries=0), pytest.raises(GlobusError) as caught:
            services[-1].check_collection(COLLECTION)
        assert "a-secret-token" not in str(caught.value)
        assert str(COLLECTION) in str(caught.value)
        return caught.value

    yield fail
    for service in services:
        service.close()


@pytest.mark.parametrize(
    ("conversation", "reason"),
    [
        (reset, {"ConnectionResetError"}),
        (reset_unread, {"ConnectionResetError", "BrokenPipeError", "RemoteDisconnected"}),
        (close, {"RemoteDisconnected"}),
        (half_a_body, {"IncompleteRead"}),
        (half_a_chunk, {"IncompleteRead", "InvalidChunkLength"}),
        (hang, {"TimeoutError"}),
        (hang_in_the_body, {"TimeoutError"}),
        (babble, {"BadStatusLine"}),
    ],
)
def test_what_breaks_off_is_tried_again(
    served: Callable[..., Server],
    ask: Callable[[str], GlobusError],
    conversation: Conversation,
    reason: set[str],
) -> None:
    """Reset by peer, broken pipe, closed, unexpected end, timed out."""
    error = ask(f"http://127.0.0.1:{served(conversation).port}")
    assert type(error) is GlobusUnreachableError
    assert error.reason in reason
    assert (error.retryable, error.needs_person) == (True, False)


@pytest.mark.parametrize("conversation", [portal, other_document, close_in_headers])
def test_an_answer_that_is_not_globus_own_is_tried_again(
    served: Callable[..., Server], ask: Callable[[str], GlobusError], conversation: Conversation
) -> None:
    """It will pass, as a login page of a network does; meanwhile nothing is taken for an answer."""
    error = ask(f"http://127.0.0.1:{served(conversation).port}")
    assert (type(error), error.reason) == (GlobusTransientError, "the answer is malformed")


def test_a_refused_connection_is_tried_again(ask: Callable[[str], GlobusError]) -> None:
    """Nobody listens, as while a service starts."""
    error = ask(f"http://127.0.0.1:{free_port()}")
    assert (type(error), error.reason, error.retryable) == (GlobusUnreachableError, "ConnectionRefusedError", True)


def test_a_name_that_cannot_be_resolved_is_tried_again(ask: Callable[[str], GlobusError]) -> None:
    """A machine without a network cannot resolve any."""
    error = ask("http://globus.invalid")
    assert (type(error), error.reason, error.retryable) == (GlobusUnreachableError, "gaierror", True)


def test_a_connection_that_is_never_accepted_is_tried_again(ask: Callable[[str], GlobusError]) -> None:
    """The queue of the listener is full, and stays so."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        error = ask(f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert (type(error), error.retryable) == (GlobusUnreachableError, True)
    assert error.reason == "TimeoutError"


# --- TLS


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has vouched for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "self-signed.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file


def test_a_certificate_that_cannot_be_trusted_is_for_a_person(
    served: Callable[..., Server], ask: Callable[[str], GlobusError], self_signed: Path
) -> None:
    """Somebody may listen in: the token is not sent, and trying again would not help."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed)
    heard: list[bytes] = []
    server = served(lambda connection: heard.append(connection.recv(65536)), context)
    error = ask(f"https://127.0.0.1:{server.port}")
    assert (type(error), error.reason) == (GlobusUntrustedError, "SSLCertVerificationError")
    assert (error.retryable, error.needs_person) == (False, False)
    assert "certificates of this machine" in str(error)
    assert not any(heard)


@pytest.mark.parametrize(
    ("conversation", "reason"), [(hang, {"TimeoutError"}), (close, {"SSLEOFError", "ConnectionResetError"})]
)
def test_a_handshake_that_is_not_finished_is_tried_again(
    served: Callable[..., Server],
    ask: Callable[[str], GlobusError],
    conversation: Conversation,
    reason: set[str],
) -> None:
    """It hangs, or is broken off."""
    error = ask(f"https://127.0.0.1:{served(conversation).port}")
    assert type(error) is GlobusUnreachableError
    assert error.reason in reason
    assert error.retryable


@pytest.mark.parametrize(
    "url",
    ["nonsense", "ftp://127.0.0.1", "http://", "http://[::1", "http://127.0.0.1:99999", "http://a b", "http://ü..x"],
)
def test_an_address_that_is_none_is_for_a_person(ask: Callable[[str], GlobusError], url: str) -> None:
    """It says which setting to look at, and that no wait will help; an empty host cannot be told from a lost one."""
    error = ask(url)
    assert "GLOBUS_SDK_SERVICE_URL_TRANSFER" in str(error)
    assert type(error) is (GlobusUnreachableError if url == "http://" else GlobusUntrustedError)


# --- and then


def test_a_transient_fault_ends_after_patience(served: Callable[..., Server]) -> None:
    """It is tried again and again until then, and the error is the last one."""
    server = served(close)
    token = globus_sdk.AccessTokenAuthorizer("x")
    url = f"http://127.0.0.1:{server.port}"
    globus = GlobusService(lambda: globus_sdk.TransferClient(authorizer=token, base_url=url))
    globus._client.retry_config.max_retries = 0
    options = TransferOptions(patience=0.5, api_retry_delay=0.02, api_retry_max_delay=0.04)
    began = time.monotonic()
    with pytest.raises(GlobusUnreachableError):
        patiently(options, Stop("t"), globus.check_collection, COLLECTION)
    assert server.conversations > 3
    assert time.monotonic() - began > 0.4
    globus.close()


def test_an_untrusted_one_ends_at_once(served: Callable[..., Server], self_signed: Path) -> None:
    """However long the patience is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed)
    server = served(close, context)
    token = globus_sdk.AccessTokenAuthorizer("x")
    url = f"https://127.0.0.1:{server.port}"
    globus = GlobusService(lambda: globus_sdk.TransferClient(authorizer=token, base_url=url))
    globus._client.retry_config.max_retries = 0
    with pytest.raises(GlobusUntrustedError):
        patiently(TransferOptions(patience=3600, api_retry_delay=0.01), Stop("t"), globus.check_collection, COLLECTION)
    assert server.conversations == 1
    globus.close()
