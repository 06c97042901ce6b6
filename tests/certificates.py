"""Certificates made on the spot, as C2PA wants them: an authority of our own, and a signer that it vouches for."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from talkhead_cli.marking.signing import Signing

PEM = serialization.Encoding.PEM


def name_of(common: str) -> x509.Name:
    parts = {NameOID.COUNTRY_NAME: "DE", NameOID.ORGANIZATION_NAME: "Test studio"}
    return x509.Name(
        [x509.NameAttribute(oid, text) for oid, text in parts.items()]
        + [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def certify(subject: str, public, signer, *, authority: bool, days: int) -> x509.Certificate:
    """A certificate for a public key, valid from yesterday for so many days; negative ones are over."""
    begin = datetime.now(timezone.utc) - timedelta(days=1 + max(0, -2 * days))
    usage = x509.KeyUsage(
        not authority, False, False, False, False, authority, authority, False, False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(subject))
        .issuer_name(name_of("Test authority"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=abs(days)))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not authority:
        emails = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(emails, critical=False)
    return builder.sign(signer, hashes.SHA256())


def make_signing(folder: Path, key=None, days: int = 30) -> Signing:
    """Write a signer's chain and key.

    Args:
        folder: where cert.pem and key.pem are written.
        key: private; by default one of P-256.
        days: that the signer's certificate is valid; negative: it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = key or ec.generate_private_key(ec.SECP256R1())
    root = ec.generate_private_key(ec.SECP256R1())
    authority = certify("Test authority", root.public_key(), root, authority=True, days=30)
    signer = certify("Test signer", key.public_key(), root, authority=False, days=days)
    chain = signer.public_bytes(PEM) + authority.public_bytes(PEM)
    (folder / "cert.pem").write_bytes(chain)
    (folder / "key.pem").write_bytes(
        key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Signing(folder / "cert.pem", folder / "key.pem")
