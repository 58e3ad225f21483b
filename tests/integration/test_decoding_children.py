"""Decoding children that crash, hang, lie or are killed: one verdict, never an outage, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from rempart.errors import DecoderError, Reason
from rempart.hashing import Hashed, hash_image, hash_images
from rempart.media import Pool, Raster, Unscannable, decode
from rempart.settings import MIB, MediaSettings

HOSTILE = """
import os, signal, sys, time
import msgspec
from rempart.errors import Reason
from rempart.media.child import read_content, work
from rempart.media.outcome import Refused

class Options(msgspec.Struct, frozen=True):
    size: int = 0

class Said(msgspec.Struct, frozen=True, tag=True):
    text: str
    pid: int = 0

@work("echo", Options)
def echo(descriptor, settings, options):
    return Said(read_content(descriptor, 1 << 20).decode(), os.getpid())

@work("segfault", Options)
def segfault(descriptor, settings, options):
    os.kill(os.getpid(), signal.SIGSEGV)

@work("leave", Options)
def leave(descriptor, settings, options):
    os._exit(0)

@work("spin", Options)
def spin(descriptor, settings, options):
    while True:
        pass

@work("sleep", Options)
def sleep(descriptor, settings, options):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    time.sleep(3600)

@work("allocate", Options)
def allocate(descriptor, settings, options):
    return Said("x" * len(bytearray(options.size)))

@work("chatter", Options)
def chatter(descriptor, settings, options):
    line = b"file-controlled text " * 50
    for _ in range(options.size // len(line)):
        try:
            os.write(2, line)
        except OSError:
            break
    print("and to standard output", flush=True)
    return Said("done")

@work("flood", Options)
def flood(descriptor, settings, options):
    return Said("x" * options.size)

@work("garbage", Options)
def garbage(descriptor, settings, options):
    return Reason

@work("other", Options)
def other(descriptor, settings, options):
    class Else(msgspec.Struct, tag=True):
        text: int = 1
    return Else()

@work("raise", Options)
def raising(descriptor, settings, options):
    raise RuntimeError("secret file content")

@work("refuse", Options)
def refuse(descriptor, settings, options):
    raise Refused(Reason.UNSUPPORTED_FORMAT, "pdf", (3, 4))

@work("write", Options)
def write(descriptor, settings, options):
    with open("/tmp/rempart-" + str(os.getpid()), "wb") as file:
        try:
            file.write(bytes(options.size))
            file.flush()
        except OSError as error:
            return Said(error.strerror)
        finally:
            os.unlink(file.name)
    return Said("written")

@work("descriptors", Options)
def descriptors(descriptor, settings, options):
    return Said(str(len(os.listdir("/proc/self/fd"))))

@work("environment", Options)
def environment(descriptor, settings, options):
    return Said(" ".join(sorted(os.environ)) + " in " + os.getcwd())
"""


class Options(msgspec.Struct, frozen=True):
    """What the hostile work is told."""

    size: int = 0


class Said(msgspec.Struct, frozen=True, tag=True):
    """What the hostile work answers."""

    text: str
    pid: int = 0


LIMITS = MediaSettings(workers=1, wall_seconds=1.0, memory_bytes=1024 * MIB)
ANSWER = 4096

Ask = Callable[..., "Said | Unscannable"]


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """A pool of one child that knows work which no decoder should do."""
    (tmp_path / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Pool("hostile", LIMITS) as pool:
        yield pool


def ask(pool: Pool, work: str, content: bytes = b"content", size: int = 0) -> Said | Unscannable:
    """Have the work done."""
    return pool.run(work, content, Options(size), Said, limit=ANSWER)


def said(pool: Pool, content: bytes = b"still here") -> Said:
    """What a healthy child answers."""
    answer = ask(pool, "echo", content)
    assert isinstance(answer, Said)
    assert answer.text == content.decode()
    return answer


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Whether a process that is not our child ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def descriptors() -> int:
    """How many files this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 -- counts the entries, paths are not wanted


@pytest.mark.parametrize(
    ("work", "size", "reason"),
    [
        ("segfault", 0, Reason.CRASH),
        ("leave", 0, Reason.CRASH),
        ("spin", 0, Reason.TIMEOUT),
        ("sleep", 0, Reason.TIMEOUT),
        ("allocate", 2048 * MIB, Reason.OUT_OF_MEMORY),
        ("flood", ANSWER + 1, Reason.CRASH),
        ("garbage", 0, Reason.CRASH),
        ("other", 0, Reason.CRASH),
        ("raise", 0, Reason.CORRUPT),
        ("refuse", 0, Reason.UNSUPPORTED_FORMAT),
    ],
)
def test_whatever_a_decoder_does_is_a_verdict_and_the_next_file_is_read(
    hostile: Pool, work: str, size: int, reason: Reason
) -> None:
    """In little more than the time allowed."""
    said(hostile)
    started = time.monotonic()
    answer = ask(hostile, work, size=size)
    assert time.monotonic() - started < LIMITS.wall_seconds + 4
    assert isinstance(answer, Unscannable)
    assert answer.reason is reason
    said(hostile)


def test_what_decoders_write_goes_nowhere_and_fills_nothing(hostile: Pool, capfd: pytest.CaptureFixture[str]) -> None:
    """A hundred megabytes of complaints with file content in them, twice."""
    for _ in range(2):
        assert ask(hostile, "chatter", size=100 * MIB) == Said("done")
    assert capfd.readouterr() == ("", "")


def test_a_child_writes_no_large_file(hostile: Pool) -> None:
    """A bomb cannot fill the disk."""
    assert ask(hostile, "write", size=64 * MIB) == Said("File too large")


def test_a_child_gets_little_of_the_environment(hostile: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secrets that the environment of the service may hold, and no working folder that may be a seized one."""
    monkeypatch.setenv("REMPART__SECRET", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    answer = ask(hostile, "environment")
    assert isinstance(answer, Said)
    assert "SECRET" not in answer.text
    assert answer.text.endswith(" in /")


def test_a_child_killed_between_two_files_is_replaced_and_no_file_is_blamed(hostile: Pool) -> None:
    """The system's memory killer takes whom it likes."""
    first = said(hostile)
    os.kill(first.pid, signal.SIGKILL)
    assert gone(first.pid)
    assert said(hostile).pid != first.pid


def test_descriptors_are_given_back(hostile: Pool) -> None:
    """Neither answers nor crashes nor time-outs cost one, here or in the child."""
    said(hostile)
    before = descriptors()
    child = ask(hostile, "descriptors")
    for _ in range(30):
        said(hostile)
    assert ask(hostile, "descriptors") == child
    for _ in range(3):
        ask(hostile, "segfault")
        said(hostile)
    assert descriptors() == before
    hostile.close()
    assert descriptors() < before


def test_many_threads_get_each_its_own_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen threads, two children, crashes among them: no answer goes astray."""
    (tmp_path / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    wrong: list[object] = []

    def many(pool: Pool, name: int) -> None:
        for number in range(12):
            content = f"{name} {number}".encode()
            answer = ask(pool, "echo", content)
            if not isinstance(answer, Said) or answer.text.encode() != content:
                wrong.append(answer)
            if name == 0 and number % 4 == 0:
                ask(pool, "segfault")

    with Pool("hostile", msgspec.structs.replace(LIMITS, workers=2, wall_seconds=20.0)) as pool:
        threads = [threading.Thread(target=many, args=(pool, name)) for name in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_closed_pool_refuses_and_its_children_are_gone(hostile: Pool) -> None:
    """Closing twice is fine."""
    pid = said(hostile).pid
    hostile.close()
    hostile.close()
    assert gone(pid)
    with pytest.raises(DecoderError, match="closed"):
        said(hostile)


def test_a_child_that_cannot_start_is_an_error_of_ours_and_not_of_the_file() -> None:
    """One line, which says why; files are not called corrupt because the installation is broken."""
    with Pool("rempart.no_such_module", LIMITS) as pool, pytest.raises(DecoderError, match="did not start") as error:
        said(pool)
    assert "\n" not in str(error.value)


def test_an_interpreter_that_is_gone_is_told_in_one_line(hostile: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation that was moved, or no more processes allowed."""
    before = descriptors()
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(DecoderError, match=r"did not start \(No such file"):
        said(hostile)
    assert descriptors() == before


def run(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Start a Python process of its own that uses the library."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("work", ["echo", "spin"])
def test_a_parent_killed_at_once_leaves_no_children(tmp_path: Path, work: str) -> None:
    """The idle ones see their channel close; a busy one is ended by its own alarm."""
    (tmp_path / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    script = """
        import sys, threading, time, msgspec
        from rempart.media import Pool
        from rempart.settings import MediaSettings
        class Options(msgspec.Struct): pass
        class Said(msgspec.Struct, tag=True):
            text: str
            pid: int = 0
        pool = Pool("hostile", MediaSettings(workers=1, wall_seconds=1.0))
        print(pool.run("echo", b"x", Options(), Said, limit=4096).pid, flush=True)
        if sys.argv[1] == "spin":
            threading.Thread(target=pool.run, args=("spin", b"x", Options(), Said), kwargs={"limit": 4096}).start()
            time.sleep(0.1)
        print("ready", flush=True)
        time.sleep(60)
    """
    with run(script, work, PYTHONPATH=str(tmp_path)) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
        parent.wait()
        assert gone(child)


def test_a_forked_process_uses_children_of_its_own_and_ends(
    tmp_path: Path, lighthouse: Callable[..., Image.Image]
) -> None:
    """Also while a thread of the parent waits for an answer: nothing is mixed up, and nobody waits for ever."""
    lighthouse().save(tmp_path / "picture.png")
    script = """
        import os, signal, sys, threading, time, warnings
        from rempart.hashing import hash_image
        from rempart.settings import MediaSettings
        picture, limits = sys.argv[1], MediaSettings(workers=1)
        expected = hash_image(picture, settings=limits).pdq
        busy = threading.Thread(target=lambda: [hash_image(picture, settings=limits) for _ in range(200)])
        busy.start()
        time.sleep(0.02)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forking with threads
            child = os.fork()
        if not child:
            signal.alarm(20)  # should it wait for ever after all, it does not outlive the test
            sys.exit(0 if hash_image(picture, settings=limits).pdq == expected else 1)
        print(os.waitpid(child, 0)[1], hash_image(picture, settings=limits).pdq == expected)
    """
    with run(script, str(tmp_path / "picture.png")) as parent:
        try:
            output, errors = parent.communicate(timeout=30)
        finally:
            parent.kill()
    assert (output, errors, parent.returncode) == ("0 True\n", "", 0)


def test_pixels_come_back_as_they_are(lighthouse: Callable[..., Image.Image], saved: Callable[..., bytes]) -> None:
    """A lossless picture, from its bytes."""
    image = lighthouse()
    raster = decode(saved(image, "PNG"))
    assert isinstance(raster, Raster)
    assert (raster.width, raster.height, raster.channels, raster.format) == (*image.size, 3, "png")
    assert Image.fromarray(raster.pixels).tobytes() == image.tobytes()
    assert decode(b"no picture") == Unscannable(reason=Reason.UNKNOWN_FORMAT)


def test_a_picture_too_large_for_the_memory_allowed_is_out_of_memory_with_digests(saved: Callable[..., bytes]) -> None:
    """Not corrupt: another machine, or a higher limit, could read it."""
    content = saved(Image.new("L", (12_000, 12_000), 90), "PNG")
    outcome = hash_image(content, settings=MediaSettings(workers=1, memory_bytes=600 * MIB))
    assert isinstance(outcome, Unscannable)
    assert outcome.reason is Reason.OUT_OF_MEMORY
    assert outcome.sha256 is not None


def test_a_batch_keeps_its_order_and_survives_an_interrupted_reader(saved: Callable[..., bytes]) -> None:
    """Whoever stops reading half-way leaves a pool that still works."""
    pictures = [saved(Image.linear_gradient("L").resize((64, 64 + number)), "PNG") for number in range(20)]
    limits = MediaSettings(workers=2)
    results = hash_images(pictures, settings=limits)
    with contextlib.closing(results):  # type: ignore[type-var]
        next(results)
    heights = [one.height for _, one in hash_images(pictures, settings=limits) if isinstance(one, Hashed)]
    assert heights == [64 + number for number in range(20)]
