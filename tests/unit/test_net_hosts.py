from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rempart.errors import ConfigError, RemoteError
from rempart.net.hosts import AllowedHost, Reach, parse, reach
from rempart.net.pinned import Deadline, PinnedBackend


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "netloc"),
    [
        ("https://models.example", "models.example", 443, "/", "models.example"),
        ("HTTPS://Models.Example.:443/v1/x?a=b#c", "models.example", 443, "/v1/x?a=b", "models.example"),
        ("http://127.0.0.1:8000/v1", "127.0.0.1", 8000, "/v1", "127.0.0.1:8000"),
        ("http://[::1]:8000/", "::1", 8000, "/", "[::1]:8000"),
        ("http://guard_model:11434/v1", "guard_model", 11434, "/v1", "guard_model:11434"),
    ],
)
def test_a_plain_url_is_split_into_what_a_request_needs(url: str, host: str, port: int, path: str, netloc: str) -> None:
    """Host in lower case and without brackets, the port said or implied, no fragment."""
    target = parse(url)
    assert target is not None
    assert (target.host, target.port, target.path, target.netloc) == (host, port, path, netloc)


@pytest.mark.parametrize(
    "url",
    [
        *("", "models.example/v1", "ftp://models.example/", "file:///etc/passwd", "//models.example/"),
        *("https://", "https://:443/", "https://user@models.example/", "https://models.example@evil.example/"),
        *("https://models.example\\@evil.example/", "https://models.example\t.evil.example/", "https://a b/"),
        *("https://modèles.example/", "https://models.example:99999/", "https://models.example:0/", "https://x:y/"),
        *("https://[::1", "https://[fe80::1%25eth0]/", "https://-x.example/", "https://a..b/", "https://a%2eb/"),
        "https://models.example/\r\nhost: evil.example",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_not_read_at_all(url: str) -> None:
    """No user names, back slashes, control characters, escapes in the host, other schemes or odd ports."""
    assert parse(url) is None
    with pytest.raises(ConfigError, match="https://host:port/path"):
        AllowedHost.of(url)


@given(st.text(max_size=60) | st.text(alphabet="htps:/@[]\\#?%.-_0a ", max_size=30).map("http://".__add__))
def test_whatever_the_url_parsing_never_fails_and_gives_a_host_that_may_be_configured(url: str) -> None:
    """What is parsed is in the form in which hosts are compared."""
    target = parse(url)
    if target is not None:
        assert AllowedHost.of(url) == AllowedHost(target.host, target.port)


@pytest.mark.parametrize(
    ("name", "port"), [("Models.example", 443), ("", 443), ("a/b", 443), ("x.example", 0), ("x.example", 65536)]
)
def test_an_allowed_host_that_no_url_could_name_is_refused(name: str, port: int) -> None:
    """A typing error in the configuration shows at the start."""
    with pytest.raises(ConfigError, match="allowed host"):
        AllowedHost(name, port)


@pytest.mark.parametrize(
    ("where", "addresses"),
    [
        (Reach.PUBLIC, ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9", "64:ff9b::909:909"]),
        (Reach.PRIVATE, ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1"]),
        (Reach.PRIVATE, ["::1", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1"]),
        (Reach.NEVER, ["169.254.169.254", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "192.0.2.1"]),  # noqa: S104 -- an address to refuse
        (Reach.NEVER, ["fe80::1", "::", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2001::1", "fec0::1"]),
        (Reach.NEVER, ["::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::127.0.0.1", "198.18.0.1"]),
    ],
)
def test_an_address_is_public_private_or_never_asked(where: Reach, addresses: list[str]) -> None:
    """IPv4 inside IPv6 is judged as IPv4; link-local, reserved, multicast and tunnels are never asked."""
    for address in addresses:
        assert reach(address) is where, address


def test_a_connection_to_another_host_than_the_checked_one_is_refused() -> None:
    """Should anything above ask for one, the place where connections are made does not go along."""
    resolved: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"]

    host = AllowedHost("models.example", 8000, private=True)
    backend = PinnedBackend(host, plain=True, resolve=resolve, deadline=Deadline(1))
    for name, port in (("evil.example", 8000), ("models.example", 22)):
        with pytest.raises(RemoteError, match="nothing had checked"):
            backend.connect_tcp(name, port)
    assert resolved == []
