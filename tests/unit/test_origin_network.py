"""Whoever reads signed claims asks nobody: not where a file says so, and not where the network is open."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rempart.media import shared_pool
from rempart.provenance.c2pa_child import ClaimOptions, ClaimsFound
from rempart.settings import MediaSettings

pytest.importorskip("c2pa", reason="the c2pa extra is not installed")


@contextmanager
def listening() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine, and who has called it."""
    calls: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def take() -> None:
            while not ended.is_set():
                try:
                    caller, address = server.accept()
                except TimeoutError:
                    continue
                calls.append(address)
                caller.close()

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield server.getsockname()[1], calls
        finally:
            ended.set()
            thread.join()


def elsewhere(picture: bytes, port: int) -> bytes:
    """The picture with a claim that is to be had at that port."""
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
        f'dcterms:provenance="http://127.0.0.1:{port}/lighthouse.c2pa"/></rdf:RDF></x:xmpmeta>'
    ).encode()
    body = b"http://ns.adobe.com/xap/1.0/\0" + packet
    return picture[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + picture[2:]


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own."""
    code = textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("way", ["ours", "ours without the first of them", "the library's own"])
def test_claim_that_lies_elsewhere_is_never_fetched_even_with_the_network_open(
    way: str, tmp_path: Path, lighthouse: Callable[..., object], saved: Callable[..., bytes]
) -> None:
    """The library's own settings do call, so that this test is known to notice it."""
    with listening() as (port, calls):
        path = tmp_path / "remote.jpg"
        path.write_bytes(elsewhere(saved(lighthouse((96, 64), 7), "JPEG"), port))
        if way != "the library's own":
            done = run(
                """
                import sys
                from rempart.provenance import c2pa_child
                from rempart.settings import MediaSettings
                c2pa_child.close_network = lambda: False
                if sys.argv[2] != "ours":
                    c2pa_child._OFFLINE["verify"]["remote_manifest_fetch"] = True
                with open(sys.argv[1], "rb") as file:
                    found = c2pa_child.read_claims(file.fileno(), MediaSettings(), c2pa_child.ClaimOptions())
                print(found.network, found.remote)
                """,
                str(path),
                way,
            )
            assert done.stdout == f"settings http://127.0.0.1:{port}/lighthouse.c2pa\n", done.stderr
            assert calls == []
        else:  # so that the test is known to notice a call
            run("import c2pa, sys; c2pa.Reader(sys.argv[1])", str(path))
            assert calls


def test_child_has_a_network_of_its_own_that_leads_nowhere() -> None:
    """Not even to this machine."""
    with listening() as (port, calls):
        done = run(
            """
            import socket, sys
            from rempart.provenance.c2pa_child import close_network
            if not close_network():
                sys.exit(77)
            try:
                socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5)
            except OSError:
                print("nowhere")
            """,
            str(port),
        )
        if done.returncode == 77:
            pytest.skip("the system allows no network name spaces here")
        assert done.stdout == "nowhere\n", done.stderr
        assert calls == []
    pool = shared_pool("rempart.provenance.c2pa_child", MediaSettings())
    found = pool.run("claims", b"no picture", ClaimOptions(), ClaimsFound, limit=1 << 20)
    assert isinstance(found, ClaimsFound)
    assert found.network == "namespace"


def test_reading_the_samples_makes_no_connection(data: Path, tmp_path: Path) -> None:
    """Of all processes together, as the kernel sees them."""
    samples = data / "provenance"
    if not samples.is_dir():
        pytest.skip("the data folder holds no samples of origin")
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    program = """
        import sys
        from rempart.provenance.c2pa_claims import examine_claims
        print(sum(len(examine_claims(path)) for path in sys.argv[1:]))
    """
    paths = [
        str(samples / "c2pa-ai" / name) for name in ("firefly-remote-only.jpg", "bing-puppy.jpg", "samsung-gray.png")
    ]
    strace = ["strace", "-f", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    done = subprocess.run(
        [*strace, sys.executable, "-c", textwrap.dedent(program), *paths],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=os.environ,
    )
    if not trace.exists() or "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.stdout == "3\n", done.stderr
    calls = trace.read_text()
    assert "sendmsg(" in calls  # it did trace: files go to the child that way
    assert "AF_INET" not in calls
    assert all("AF_UNIX" in line for line in calls.splitlines() if "connect(" in line)


def test_who_examines_a_file_does_not_load_the_library() -> None:
    """Only the child does, for it is large and reads what anybody sent."""
    done = run("import sys; import rempart.provenance.c2pa_claims; print('c2pa' in sys.modules)")
    assert done.stdout == "False\n", done.stderr
