"""A certificate authority of the tests' own, and pictures that are signed under it (C2PA)."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

c2pa = pytest.importorskip("c2pa", reason="the c2pa extra is not installed")

TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_QUICKLY = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}


class Authority:
    """A root, and one signer under it: ``root`` is its certificate in PEM."""

    def __init__(self, name: str = "Lighthouse Camera", *, unit: str = "", days: tuple[int, int] = (-10, 300)) -> None:
        begin, end = (datetime.now(UTC) + timedelta(days=day) for day in days)
        root_key, self._key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name = _name(f"{name} Root", unit)
        always = (min(begin, datetime.now(UTC)) - timedelta(days=1), datetime.now(UTC) + timedelta(days=3000))
        root = _certificate(root_name, root_name, root_key, root_key, always, authority=True)
        leaf = _certificate(_name(name, unit), root_name, self._key, root_key, (begin, end), authority=False)
        self.root = root.public_bytes(serialization.Encoding.PEM)
        self._chain = leaf.public_bytes(serialization.Encoding.PEM) + self.root

    def sign(
        self,
        picture: bytes,
        actions: list[dict[str, Any]],
        *,
        product: str = "Test Product",
        parts: tuple[tuple[str, bytes], ...] = (),
        format: str = "image/png",  # noqa: A002 -- the library's word
    ) -> bytes:
        """The picture with a signed claim of these actions, made of these parts: (relationship, picture)."""
        key = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        manifest = {
            "claim_generator_info": [{"name": product, "version": "1.0"}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
        }
        context = c2pa.Context(settings=c2pa.Settings.from_dict(_QUICKLY))
        builder = c2pa.Builder(json.dumps(manifest), context)
        for number, (relationship, part) in enumerate(parts):
            described = {"title": f"part {number}", "relationship": relationship}
            builder.add_ingredient(json.dumps(described), format, io.BytesIO(part))
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", self._chain, key, None))
        out = io.BytesIO()
        builder.sign(signer, format, io.BytesIO(picture), out)
        return out.getvalue()


def created(term: str = "digitalCapture", agent: str = "Lighthouse Camera") -> list[dict[str, Any]]:
    """The action of having created a picture, with a term of IPTC."""
    return [{"action": "c2pa.created", "softwareAgent": agent, "digitalSourceType": TERMS + term}]


def _name(name: str, unit: str) -> x509.Name:
    parts = [(NameOID.COMMON_NAME, name), (NameOID.ORGANIZATION_NAME, name), (NameOID.COUNTRY_NAME, "FR")]
    if unit:
        parts.append((NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    valid: tuple[datetime, datetime],
    *,
    authority: bool,
) -> x509.Certificate:
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    usage |= {"digital_signature": not authority, "key_cert_sign": authority, "crl_sign": authority}
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, decipher_only=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
