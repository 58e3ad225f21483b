from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from rempart.errors import ConfigError, RemoteError
from rempart.net import AllowedHost, Client, Resolver, Response
from rempart.net.pinned import system_resolver

Serve = Callable[..., Any]
Answer = Callable[[socket], None]

NAME = "models.example"
SECRET = "lighthouse-4711"  # noqa: S105 -- a word to look for


def says(body: bytes = b"", status: str = "200 OK", *headers: str) -> Answer:
    """An answer that is always the same."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def drips(start: bytes, drop: bytes) -> Answer:
    """An answer that never ends, a drop at a time."""

    def answer(connection: socket) -> None:
        connection.sendall(start)
        for _ in range(100):
            connection.sendall(drop)
            time.sleep(0.05)

    return answer


def here(port: int, name: str = "127.0.0.1", resolve: Resolver = system_resolver) -> Client:
    """A client that may ask this port of this machine."""
    return Client([AllowedHost(name, port, private=True)], resolve=resolve)


def to(*addresses: str) -> Callable[[str, int], Sequence[str]]:
    """A resolver that gives these addresses for every name."""
    return lambda _name, _port: addresses


def test_a_request_arrives_as_it_was_meant_and_its_answer_comes_back(serve: Serve) -> None:
    """Method, path, query, headers and a JSON body go out; status and content come back."""
    server = serve(says(b"a lamp", "201 Created"))
    url = f"http://127.0.0.1:{server.port}/v1/x?a=b#c"
    answer = here(server.port).request("POST", url, json={"sea": [1]}, headers={"authorization": "Bearer k"})
    assert answer == Response(201, b"a lamp")
    assert repr(answer) == "<Response 201, 6 bytes>"
    (request,) = server.requests
    head, body = request.lower().split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"post /v1/x?a=b http/1.1"
    assert {b"host: 127.0.0.1:%d" % server.port, b"authorization: bearer k", b"content-length: 11"} <= set(lines)
    assert {b"accept-encoding: identity", b"content-type: application/json"} <= set(lines)
    assert body == b'{"sea":[1]}'


@pytest.mark.parametrize("path", [":{port}/", "@127.0.0.1:{port}/", ".evil.example:{port}/"])
def test_a_host_that_is_not_configured_is_neither_resolved_nor_connected_to(serve: Serve, path: str) -> None:
    """Whatever the URL looks like, the listening socket sees nothing."""
    server = serve(says())
    resolved: list[str] = []

    def resolve(name: str, _port: int) -> list[str]:
        resolved.append(name)
        return ["127.0.0.1"]

    client = Client([AllowedHost(NAME, 443, private=True)], resolve=resolve)
    with pytest.raises(RemoteError):
        client.request("GET", f"http://{NAME}{path.format(port=server.port)}")
    with pytest.raises(RemoteError, match=r"127\.0\.0\.1 is not among the hosts that may be asked on port"):
        client.request("GET", f"http://127.0.0.1:{server.port}/")
    assert (resolved, server.connections) == ([], 0)


@pytest.mark.parametrize(
    ("private", "addresses", "complaint"),
    [
        (False, ["127.0.0.1"], "private address"),
        (False, ["9.9.9.9", "127.0.0.1"], "public address|private address"),
        (False, ["::ffff:127.0.0.1"], "private address"),
        (True, ["169.254.169.254"], "link-local"),
        (True, ["127.0.0.1", "0.0.0.0"], "link-local"),  # noqa: S104 -- an address to refuse
        (True, ["9.9.9.9"], "plain http goes only to private"),
        (True, [], "cannot be resolved"),
    ],
)
def test_a_name_with_an_address_that_is_refused_is_not_connected_to(
    serve: Serve,
    private: bool,  # noqa: FBT001 -- a case of the table
    addresses: list[str],
    complaint: str,
) -> None:
    """All addresses are checked before any is used: one that is refused refuses the name."""
    server = serve(says())
    client = Client([AllowedHost(NAME, server.port, private=private)], resolve=to(*addresses))
    with pytest.raises(RemoteError, match=complaint):
        client.request("GET", f"http://{NAME}:{server.port}/")
    assert server.connections == 0


def test_the_connection_goes_to_the_address_that_was_checked_and_each_request_checks_anew(serve: Serve) -> None:
    """A name is resolved once a request, so nothing can change between look and leap; later answers count too."""
    server = serve(says(b"ok"))
    answers = [["127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"]]
    client = here(server.port, name=NAME, resolve=lambda _name, _port: answers.pop(0))
    for left in (2, 1):
        assert client.request("GET", f"http://{NAME}:{server.port}/").content == b"ok"
        assert len(answers) == left
    with pytest.raises(RemoteError, match="link-local"):
        client.request("GET", f"http://{NAME}:{server.port}/")
    assert server.connections == 2
    assert b"host: models.example:" in server.requests[0].lower()


def test_a_second_address_is_tried_when_the_first_does_not_answer(serve: Serve) -> None:
    """Names with an IPv6 and an IPv4 address are common, and servers that listen on both are not."""
    server = serve(says(b"ok"))
    client = here(server.port, name=NAME, resolve=to("127.0.0.2", "127.0.0.1"))
    assert client.request("GET", f"http://{NAME}:{server.port}/").content == b"ok"


def test_proxies_of_the_environment_are_not_used(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would see everything and connect wherever it likes."""
    proxy, server = serve(says(b"proxy")), serve(says(b"server"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
    client = here(server.port, name=NAME, resolve=to("127.0.0.1"))
    assert client.request("GET", f"http://{NAME}:{server.port}/").content == b"server"
    assert proxy.connections == 0


def test_a_redirect_is_returned_unless_following_was_asked_for(serve: Serve) -> None:
    """Nothing goes anywhere by itself, and what has a body never does."""
    server = serve(says(b"moved", "302 Found", f"Location: /{SECRET}"))
    url = f"http://127.0.0.1:{server.port}/"
    assert here(server.port).request("GET", url) == Response(302, b"moved")
    assert here(server.port).request("POST", url, content=b"x", redirects=5).status == 302
    assert server.connections == 2


def test_a_followed_redirect_is_checked_like_the_first_and_loses_the_headers_at_another_origin(serve: Serve) -> None:
    """A key meant for one host is not shown to the next."""
    last = serve(says(b"there"))
    middle = serve(says(b"", "307 Temporary Redirect", f"Location: http://localhost:{last.port}/b"))
    first = serve(says(b"", "301 Moved", f"Location: http://127.0.0.1:{middle.port}/a"))
    client = Client(
        [*(AllowedHost("127.0.0.1", server.port, private=True) for server in (first, middle)),
         AllowedHost("localhost", last.port, private=True)],
        resolve=to("127.0.0.1"),
    )  # fmt: skip
    answer = client.request(
        "GET", f"http://127.0.0.1:{first.port}/", headers={"Authorization": f"Bearer {SECRET}"}, redirects=2
    )
    assert answer.content == b"there"
    assert [SECRET.encode() in server.requests[0] for server in (first, middle, last)] == [True, False, False]
    assert last.requests[0].startswith(b"GET /b ")


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{port}/", "//localhost:{port}/", "ftp://x/", "http://[", "\\\\x"]
)
def test_a_redirect_to_what_is_not_configured_goes_nowhere(serve: Serve, location: str) -> None:
    """The other server sees nothing, and the message does not repeat where it should have gone."""
    other = serve(says())
    server = serve(says(b"", "302 Found", f"Location: {location.format(port=other.port)}"))
    with pytest.raises(RemoteError, match=r"^127\.0\.0\.1 redirects to a host that is not among") as caught:
        here(server.port).request("GET", f"http://127.0.0.1:{server.port}/", redirects=3)
    assert str(other.port) not in str(caught.value)
    assert other.connections == 0


def test_redirects_in_a_circle_come_to_an_end(serve: Serve) -> None:
    """So many as were asked for are followed, no more."""
    server = serve(says(b"", "302 Found", "Location: /"))
    with pytest.raises(RemoteError, match="more than 3 times"):
        here(server.port).request("GET", f"http://127.0.0.1:{server.port}/", redirects=3)
    assert server.connections == 4


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_an_answer_that_is_too_long_is_given_up_while_it_comes(serve: Serve, head: bytes) -> None:
    """However the length is said, or not; only a little more than the limit is ever read."""
    sent = 0

    def answer(connection: socket) -> None:
        nonlocal sent
        connection.sendall(head)
        piece = b"x" * 10_000
        for _ in range(10_000):
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if b"chunked" in head else piece)
            sent += len(piece)

    server = serve(answer)
    with pytest.raises(RemoteError, match="answers more than 50000 bytes"):
        here(server.port).request("GET", f"http://127.0.0.1:{server.port}/", max_bytes=50_000)
    assert sent < 20_000_000, "the server was allowed to send on"


def test_an_answer_of_just_the_limit_is_taken(serve: Serve) -> None:
    """The limit itself is allowed."""
    server = serve(says(b"x" * 1000))
    assert here(server.port).request("GET", f"http://127.0.0.1:{server.port}/", max_bytes=1000).content == b"x" * 1000


@pytest.mark.parametrize(
    "answer",
    [
        drips(b"", b"H"),
        drips(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status line", "headers", "body", "informational answers"],
)
def test_a_server_that_drips_does_not_keep_a_request_open(serve: Serve, answer: Answer) -> None:
    """The time is for the whole: each drop coming in time does not help."""
    server = serve(answer)
    start = time.monotonic()
    with pytest.raises(RemoteError, match=r"took longer than 0\.3 s"):
        here(server.port).request("GET", f"http://127.0.0.1:{server.port}/", seconds=0.3)
    assert time.monotonic() - start < 2


def test_a_server_that_does_not_read_or_shake_hands_and_a_resolver_that_hangs_are_left_in_time() -> None:
    """Sending, TLS and resolving are under the same limit as reading."""
    with socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]

        def hang(_name: str, _port: int) -> list[str]:
            time.sleep(3)
            return ["127.0.0.1"]

        start = time.monotonic()
        for client, url in (
            (here(port), f"http://127.0.0.1:{port}/"),
            (here(port), f"https://127.0.0.1:{port}/"),
            (here(port, name=NAME, resolve=hang), f"http://{NAME}:{port}/"),
        ):
            with pytest.raises(RemoteError, match="took longer than"):
                client.request("POST", url, content=b"x" * 50_000_000, seconds=0.2)
        assert time.monotonic() - start < 2.5


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nA" + b"x" * 200_000,
    ],
    ids=["nothing", "another protocol", "cut off", "endless header"],
)
def test_what_is_no_whole_http_answer_is_an_error(serve: Serve, answer: bytes) -> None:
    """Half an answer is never taken for one."""
    server = serve(lambda connection: connection.sendall(answer))
    with pytest.raises(RemoteError, match=r"^127\.0\.0\.1 broke the connection off, or does not speak HTTP"):
        here(server.port).request("GET", f"http://127.0.0.1:{server.port}/")


def test_a_compressed_answer_is_refused(serve: Serve) -> None:
    """It was not asked for, and its real size would be counted too late."""
    server = serve(says(b"\x1f\x8b", "200 OK", "Content-Encoding: gzip"))
    with pytest.raises(RemoteError, match="compresses its answer"):
        here(server.port).request("GET", f"http://127.0.0.1:{server.port}/")


def test_a_port_on_which_nobody_listens_is_named() -> None:
    """The message says where to look."""
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(RemoteError, match=f"does not answer on port {port}"):
            here(port).request("GET", f"http://127.0.0.1:{port}/")


def test_a_refusal_is_heard_though_the_server_did_not_read_the_whole_request() -> None:
    """It may say no before it has read a long body, and hang up."""
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]

        def refuse() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")

        server = threading.Thread(target=refuse)
        server.start()
        try:
            answer = here(port).request("POST", f"http://127.0.0.1:{port}/", content=b"x" * 30_000_000)
        finally:
            server.join()
    assert answer.status == 413


def test_neither_errors_nor_logs_repeat_addresses_headers_or_content(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Even when everything is logged; the host's name is all that is told."""
    caplog.set_level(logging.DEBUG)
    server = serve(says(SECRET.encode(), "200 OK", f"X-Secret: {SECRET}", f"Location: /{SECRET}"))
    url = f"http://127.0.0.1:{server.port}/{SECRET}?{SECRET}"
    client = here(server.port)
    client.request("POST", url, content=SECRET.encode(), headers={"authorization": SECRET})
    messages = []
    for wrong in (url.replace("127.0.0.1", "localhost"), f"http://a b/{SECRET}"):
        with pytest.raises(RemoteError) as caught:
            client.request("GET", wrong)
        messages.append(str(caught.value))
    with pytest.raises(RemoteError) as caught:
        client.request("GET", url, max_bytes=3)
    assert SECRET not in "".join([*messages, str(caught.value), caplog.text])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for :data:`NAME` and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: it makes the certificate of the test server")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "certificate.pem"


def test_over_tls_the_certificate_must_be_trusted_and_be_of_the_name_that_was_asked(
    serve: Serve, certificate: Path
) -> None:
    """The connection goes to an address, but it is the name that must be proved."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = serve(says(b"ok"), context)
    hosts = [AllowedHost(name, server.port, private=True) for name in (NAME, "other.example", "127.0.0.1")]
    trusting = Client(hosts, ca_file=certificate, resolve=to("127.0.0.1"))
    assert trusting.request("GET", f"https://{NAME}:{server.port}/").content == b"ok"
    for name in ("other.example", "127.0.0.1"):
        with pytest.raises(RemoteError, match=f"{name} shows no certificate that is trusted for its name"):
            trusting.request("GET", f"https://{name}:{server.port}/")
    with pytest.raises(RemoteError, match="no certificate"):
        Client(hosts, resolve=to("127.0.0.1")).request("GET", f"https://{NAME}:{server.port}/")
    assert len(server.requests) == 1


def test_authorities_that_cannot_be_read_stop_the_start(tmp_path: Path) -> None:
    """Missing or no PEM: nothing falls back to trusting everybody."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for path in (wrong, tmp_path / "missing.pem"):
        with pytest.raises(ConfigError, match="certificate authorities"):
            Client([], ca_file=path)
