from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import Distribution, distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

NOTICE = Path(__file__).parents[2] / "NOTICE"

# Extras that reach a user; `test` and `bench` stay with us.
SHIPPED_EXTRAS = ("c2pa", "heif", "scorer", "video")

# What may carry codecs under the GPL in its wheels: only in this extra of its own, of which NOTICE warns.
WITH_GPL_CODECS = {"av": "video"}

PERMISSIVE = re.compile(
    r"apache|\bmit\b|\bbsd\b|hpnd|\bpsf\b|python software foundation|mozilla|\bmpl\b|\bisc\b|unlicense|zlib|cc0",
    re.IGNORECASE,
)
LESSER = re.compile(r"lgpl|lesser general public", re.IGNORECASE)
COPYLEFT = re.compile(r"\ba?gpl|affero|gnu general public", re.IGNORECASE)

# Libraries under the GPL that wheels of media packages are known to bundle.
GPL_LIBRARIES = re.compile(r"x264|x265|xvid|rubberband|vidstab|fdk", re.IGNORECASE)


def shipped(extras_asked: Sequence[str] = SHIPPED_EXTRAS) -> dict[str, Distribution]:
    """Every distribution that installing rempart with these extras brings along."""
    found: dict[str, Distribution] = {}
    waiting = [("rempart", tuple(extras_asked))]
    while waiting:
        name, extras = waiting.pop()
        for line in requires(name) or []:
            needed = Requirement(line)
            marker = needed.marker
            wanted = marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))
            if wanted and needed.name not in found:
                found[needed.name] = distribution(needed.name)
                waiting.append((needed.name, tuple(needed.extras)))
    return found


def stated(package: Distribution) -> str:
    """What a distribution says of its own licence, wherever it says it."""
    meta = package.metadata
    classifiers = [line for line in meta.get_all("Classifier", []) if line.startswith("License ::")]
    return "\n".join([meta.get("License-Expression") or "", (meta.get("License") or "")[:200], *classifiers])


def test_every_dependency_states_a_licence_that_we_may_depend_on() -> None:
    """Permissive or LGPL; never GPL or AGPL, and never nothing."""
    packages = shipped()
    assert {"numpy", "numba", "pillow", "simplejpeg", "sqlalchemy", "pi-heif", "av"} <= set(packages)
    for name, package in packages.items():
        licence = stated(package)
        assert PERMISSIVE.search(licence) or LESSER.search(licence), name
        assert not COPYLEFT.search(LESSER.sub("", licence)), name


def gpl_libraries(package: Distribution) -> list[str]:
    """The libraries under the GPL that a distribution has inside."""
    return [file.name for file in package.files or [] if is_library(file.name) and GPL_LIBRARIES.search(file.name)]


def is_library(name: str) -> bool:
    """Whether a file is a shared library."""
    return ".so" in name or name.endswith(".dylib")


def test_no_dependency_bundles_a_library_under_the_gpl_but_the_one_of_which_notice_warns() -> None:
    """A wheel may be BSD or MIT and carry a GPL codec inside."""
    packages = shipped()
    assert {name for name, package in packages.items() if gpl_libraries(package)} <= set(WITH_GPL_CODECS)
    libraries = [file.name for package in packages.values() for file in package.files or [] if is_library(file.name)]
    assert len(libraries) > 20, "the wheels' files could not be listed"


@pytest.mark.parametrize(("name", "extra"), WITH_GPL_CODECS.items())
def test_codecs_under_the_gpl_come_with_no_installation_that_did_not_ask_for_them(name: str, extra: str) -> None:
    """Neither with the base nor with another extra; and who asks is told."""
    others = [each for each in SHIPPED_EXTRAS if each != extra]
    assert name not in shipped(others)
    assert name in shipped([extra])
    notice = NOTICE.read_text(encoding="utf-8")
    assert f"`{extra}` extra" in notice
    assert "GPL" in notice
