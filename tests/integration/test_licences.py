from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution, requires

from packaging.requirements import Requirement

# Extras that reach a user; `test` and `bench` stay with us.
SHIPPED_EXTRAS = ("heif", "scorer")

PERMISSIVE = re.compile(
    r"apache|\bmit\b|\bbsd\b|hpnd|\bpsf\b|python software foundation|mozilla|\bmpl\b|\bisc\b|unlicense|zlib|cc0",
    re.IGNORECASE,
)
LESSER = re.compile(r"lgpl|lesser general public", re.IGNORECASE)
COPYLEFT = re.compile(r"\ba?gpl|affero|gnu general public", re.IGNORECASE)

# Libraries under the GPL that wheels of media packages are known to bundle.
GPL_LIBRARIES = re.compile(r"x264|x265|xvid|rubberband|vidstab|fdk", re.IGNORECASE)


def shipped() -> dict[str, Distribution]:
    """Every distribution that installing rempart with its shipped extras brings along."""
    found: dict[str, Distribution] = {}
    waiting = [("rempart", SHIPPED_EXTRAS)]
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
    assert {"numpy", "numba", "pillow", "simplejpeg", "sqlalchemy", "pi-heif"} <= set(packages)
    for name, package in packages.items():
        licence = stated(package)
        assert PERMISSIVE.search(licence) or LESSER.search(licence), name
        assert not COPYLEFT.search(LESSER.sub("", licence)), name


def test_no_dependency_bundles_a_library_under_the_gpl() -> None:
    """A wheel may be MIT and carry a GPL codec inside."""
    seen = 0
    for name, package in shipped().items():
        libraries = [str(file) for file in package.files or [] if ".so" in file.name or file.name.endswith(".dylib")]
        seen += len(libraries)
        assert not [library for library in libraries if GPL_LIBRARIES.search(library)], name
    assert seen > 20, "the wheels' files could not be listed"
