"""Reads signed claims (C2PA) of a file, in a child process that has no network.

What c2pa-python finds is brought into plain facts here, list by list; what they mean is decided in
:mod:`rempart.provenance.c2pa_claims`. The library's own state is never asked for: it calls intact claims of vendors
invalid, and claims that are signed with a public test key valid.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from itertools import islice
from typing import Any, Final, Literal

import msgspec

from rempart.media.child import read_content, work
from rempart.provenance.fields import DEFAULT_LIMITS
from rempart.provenance.trust import TEST_ROOTS, TEST_UNIT, Kind, TrustStore
from rempart.settings import MIB, MediaSettings

MANIFESTS: Final = 64
TEXT_CHARACTERS: Final = 240
_ACTIONS: Final = 256
_INGREDIENTS: Final = 256
_CODES: Final = 512
_JSON_BYTES: Final = 16 * MIB
_STORE_BYTES: Final = 32 * MIB

# A picture without a manifest, to hold a manifest against whose own picture is not here: one grey point.
_STAND_IN: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010800000000"
    "3a7e9b550000000a4944415478da6368000000820081da45083b0000000049454e44ae426082"
)

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s\"]+")
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000

_OFFLINE: Final[dict[str, Any]] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
    "core": {"allowed_network_hosts": [], "allow_redirects": False, "decode_identity_assertions": False},
}


class ClaimOptions(msgspec.Struct, frozen=True):
    """Paths of the operator's own lists."""

    private: tuple[str, ...] = ()


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a claim says was done; texts are quoted from the file and cut."""

    action: str
    term: str = ""
    agent: str = ""
    description: str = ""


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that a claim says it was made from."""

    label: str
    """Of its manifest; empty where it has none."""
    relationship: str = ""
    picture: bool = True
    """Whether it is a picture, and not a model."""
    sound: bool = True
    """Whether the manifest is the one that was meant."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What came of holding a manifest against one list: status codes of the C2PA specification."""

    name: str
    kind: Kind
    success: tuple[str, ...] = ()
    failure: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest of the store.

    Attributes:
        file: the codes of the file's own reading, for the active manifest: they alone tell whether it is about these
            bytes.
        held: one for each list that it was held against.
        test_key: whether it names a root whose private key is public.
    """

    label: str
    active: bool
    generator: str = ""
    signer: str = ""
    not_before: str = ""
    not_after: str = ""
    sha256: str = ""
    offset: int = -1
    length: int = 0
    test_key: bool = False
    file: Held | None = None
    held: tuple[Held, ...] = ()
    actions: tuple[Action, ...] = ()
    linked: tuple[Linked, ...] = ()
    marks: tuple[str, ...] = ()
    """Invisible marks that it says were put into the picture."""
    model: str = ""
    prompt: str = ""


class ClaimsFound(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The answer of the work "claims".

    Attributes:
        network: what keeps the child from the network: a name space of its own, or settings alone.
        remote: the address of a manifest that is not in the file; it is never asked.
        failure: why nothing could be read, in a word; empty where there is nothing or all was read.
    """

    manifests: tuple[Manifest, ...] = ()
    network: Literal["namespace", "settings"] = "settings"
    version: str = ""
    remote: str = ""
    failure: str = ""
    limits_hit: tuple[str, ...] = ()


@work("claims", ClaimOptions)
def read_claims(descriptor: int, _settings: MediaSettings, options: ClaimOptions) -> ClaimsFound:
    """All manifests of an open file."""
    network: Literal["namespace", "settings"] = "namespace" if close_network() else "settings"
    c2pa = library()
    if c2pa is None:
        return ClaimsFound(network=network, failure="missing_extra")
    version = f"{c2pa.__version__} (c2pa-rs {c2pa.sdk_version()})"
    content = read_content(descriptor, DEFAULT_LIMITS.file_bytes)
    if content is None:
        return ClaimsFound(network=network, version=version, failure="too_large", limits_hit=("file_bytes",))
    found = ClaimsFound(network=network, version=version)
    try:
        contexts = _contexts(options.private)
        reader = c2pa.Reader.try_create(None, io.BytesIO(content), None, contexts[0][2])
    except c2pa.C2paError as error:
        return msgspec.structs.replace(found, **_failed(str(error)))
    if reader is None:
        return found
    with reader:
        return _walked(reader, content, contexts, found)


@lru_cache(maxsize=1)
def library() -> Any:  # noqa: ANN401 -- it has no types
    """The library, or None where the extra is not installed; only the child that reads claims ever loads it."""
    try:
        return import_module("c2pa")
    except ImportError:
        return None


@lru_cache(maxsize=1)
def close_network() -> bool:
    """Give up the network for this process and whatever it starts; whether the system allowed it.

    A name space of its own has no way out at all. Where that is not allowed, the settings still keep the library from
    asking anybody.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        return any(libc.unshare(flags) == 0 for flags in (_NEW_NETWORK, _NEW_USER | _NEW_NETWORK))
    return False


@lru_cache(maxsize=4)
def _contexts(private: tuple[str, ...]) -> list[tuple[str, Kind, Any]]:
    """For each list its name, its kind, and the library's settings to hold a claim against it alone."""
    store = TrustStore.bundled(private)
    kinds: tuple[Kind, ...] = ("official", "interim", "private")
    return [
        (name, kind, _context(store.anchors(kind, name=name) + "\n" + store.anchors("time"), _allowed(store, kind)))
        for kind in kinds
        for name in store.names(kind)
    ]


def _allowed(store: TrustStore, kind: Kind) -> str:
    return store.anchors("interim_allowed") if kind == "interim" else ""


def _context(anchors: str, allowed: str) -> Any:  # noqa: ANN401 -- the library has no types
    c2pa = library()
    trust = {"trust_anchors": anchors} | ({"allowed_list": allowed} if allowed else {})
    return c2pa.Context(settings=c2pa.Settings.from_dict({**_OFFLINE, "trust": trust}))


def _failed(message: str) -> dict[str, str]:
    """What an error of the library is: a manifest elsewhere, or one that cannot be read."""
    address = _ADDRESS.search(message) if message.startswith("Remote") else None
    return {"remote": _text(address[0])} if address else {"failure": "unreadable"}


def _walked(reader: Any, content: bytes, contexts: list[tuple[str, Kind, Any]], found: ClaimsFound) -> ClaimsFound:  # noqa: ANN401
    text = reader.crjson()
    if len(text) > _JSON_BYTES:
        return msgspec.structs.replace(found, failure="too_large", limits_hit=("manifest_bytes",))
    active = _text(json.loads(reader.json()).get("active_manifest"))
    described = _dicts(json.loads(text).get("manifests"))
    manifests = [
        _manifest(reader, one, content, contexts, active=one.get("label") == active)
        for one in islice(described, MANIFESTS)
    ]
    hit = ("manifests",) if next(described, None) is not None else ()
    remote = "" if reader.is_embedded() else _text(reader.get_remote_url())
    return msgspec.structs.replace(found, manifests=tuple(manifests), remote=remote, limits_hit=hit)


def _manifest(
    reader: Any,  # noqa: ANN401
    described: dict[str, Any],
    content: bytes,
    contexts: list[tuple[str, Kind, Any]],
    *,
    active: bool,
) -> Manifest:
    label = str(described.get("label", ""))
    store = _store(reader, label)
    claim = _dict(described.get("claim.v2")) or _dict(described.get("claim"))
    certificate = _dict(_dict(described.get("signature")).get("certificateInfo"))
    subject, issuer = _dict(certificate.get("subject")), _dict(certificate.get("issuer"))
    validity = _dict(certificate.get("validity"))
    assertions = _dict(described.get("assertions"))
    generated = _dict(assertions.get("c2pa.ai_generated_content"))
    name, kind, _ = contexts[0]
    return Manifest(
        label=_text(label),
        active=active,
        generator=_generator(claim),
        signer=_text(subject.get("O") or subject.get("CN")),
        not_before=_text(validity.get("notBefore")),
        not_after=_text(validity.get("notAfter")),
        sha256=hashlib.sha256(store).hexdigest() if store else "",
        offset=content.find(store) if store else -1,
        length=len(store),
        test_key=TEST_UNIT in (subject.get("OU"), issuer.get("OU")) or any(one in store for one in TEST_ROOTS),
        file=_codes(_dict(described.get("validationResults")), name, kind) if active else None,
        held=tuple(_held(store, label, contexts)),
        actions=tuple(islice(_actions(assertions), _ACTIONS)),
        linked=tuple(islice(_linked(assertions, described), _INGREDIENTS)),
        marks=tuple(islice(_marks(assertions), _ACTIONS)),
        model=_text(generated.get("model")),
        prompt=_text(generated.get("prompt")),
    )


def _store(reader: Any, label: str) -> bytes:  # noqa: ANN401
    """The manifest and those that it is made from, as bytes; nothing where the library does not give them."""
    out = io.BytesIO()
    with suppress(library().C2paError, OSError, ValueError):
        reader.resource_to_stream(label, out)
    return out.getvalue() if len(out.getvalue()) <= _STORE_BYTES else b""


def _held(store: bytes, label: str, contexts: list[tuple[str, Kind, Any]]) -> Iterator[Held]:
    """Hold a manifest against one list after the other, as if it were the file's own.

    So each is judged by what is found now: of manifests within manifests the library tells only what differs from
    what the outer one noted, which anyone could have written.
    """
    c2pa = library()
    for name, kind, context in contexts if store else ():
        with suppress(c2pa.C2paError):
            reader = c2pa.Reader("image/png", io.BytesIO(_STAND_IN), store, context)
            with reader:
                found = json.loads(reader.json())
            if found.get("active_manifest") == label:
                yield _codes(_dict(_dict(found.get("validation_results")).get("activeManifest")), name, kind)


def _codes(results: dict[str, Any], name: str, kind: Kind) -> Held:
    def codes(key: str) -> tuple[str, ...]:
        return tuple(sorted({_text(one.get("code")) for one in islice(_dicts(results.get(key)), _CODES)}))

    return Held(name=name, kind=kind, success=codes("success"), failure=codes("failure"))


def _generator(claim: dict[str, Any]) -> str:
    """Who is said to have made the claim: a name, or the first product of an older claim's list."""
    info = claim.get("claim_generator_info")
    first = info if isinstance(info, dict) else next(_dicts(info), {})
    name = _text(first.get("name")) or _text(claim.get("claim_generator"))
    return name.partition("/")[0].replace("_", " ")  # an older claim writes "Product_Name/1.0 library/2.0"


def _actions(assertions: dict[str, Any]) -> Iterator[Action]:
    for name, data in assertions.items():
        if name.startswith("c2pa.actions"):
            for one in _dicts(_dict(data).get("actions")):
                agent = one.get("softwareAgent")
                yield Action(
                    action=_text(one.get("action")),
                    term=_term(one.get("digitalSourceType")),
                    agent=_text(agent.get("name") if isinstance(agent, dict) else agent),
                    description=_text(one.get("description")),
                )
        elif name.startswith(("c2pa.metadata", "cawg.metadata", "stds.iptc")):
            for key, value in _dict(data).items():
                if key.lower().rpartition(":")[2] == "digitalsourcetype":
                    yield Action(action=_text(name), term=_term(value))


def _linked(assertions: dict[str, Any], described: dict[str, Any]) -> Iterator[Linked]:
    unsound = {
        _text(delta.get("ingredientAssertionURI")).rpartition("/")[2]
        for delta in _dicts(described.get("ingredientDeltas"))
        for one in _dicts(_dict(delta.get("validationDeltas")).get("failure"))
        if _text(one.get("code")).startswith("ingredient.")
    }
    for name, data in assertions.items():
        if not name.startswith("c2pa.ingredient"):
            continue
        one = _dict(data)
        manifest = _dict(one.get("activeManifest")) or _dict(one.get("c2pa_manifest"))
        types = [_text(kind.get("type")) for kind in _dicts(one.get("dataTypes") or one.get("data_types"))]
        yield Linked(
            label=_text(manifest.get("url")).rpartition("/")[2],
            relationship=_text(one.get("relationship")),
            picture=not any(kind.startswith("c2pa.types.") for kind in types),
            sound=name not in unsound,
        )


def _marks(assertions: dict[str, Any]) -> Iterator[str]:
    for name, data in assertions.items():
        if name.startswith("c2pa.soft-binding"):
            yield _text(_dict(data).get("alg")) or "unnamed"
        elif name.startswith("c2pa.actions"):
            for one in _dicts(_dict(data).get("actions")):
                if _text(one.get("action")).startswith(("c2pa.watermarked", "c2pa.soft-binding")):
                    yield _text(one.get("description")) or _text(one.get("action"))


def _term(value: object) -> str:
    """The last part of an IPTC or C2PA address, as written but for blanks around it."""
    return _text(value).strip().rstrip("/").rpartition("/")[2]


def _text(value: object) -> str:
    return value[:TEXT_CHARACTERS] if isinstance(value, str) else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())
