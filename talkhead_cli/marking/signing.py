"""Signed C2PA manifests: who vouches for a file, that it is as it was, and how it came to be.

c2pa-python does the work; it is an extra, and imported where it is used. The private key is read from its file, handed
to the library and kept nowhere else: no event, log record or sidecar holds it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli.errors import InputError, MediaError, UsageError
from talkhead_cli.paths import temporary_beside

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from talkhead_cli.marking.record import Marks

INSTALL = "install it: pip install 'talkhead[c2pa]'"

FORMATS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime"}
"""Media types of the containers that can hold a manifest, by suffix."""

CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}

LIBRARY_SETTINGS: dict[str, Any] = {
    # A file names addresses; reading or signing one must not reach out to them.
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
    "builder": {"thumbnail": {"enabled": False}},
}

MAX_PEM_BYTES = 1 << 20


@dataclass(frozen=True)
class Signing:
    """What a manifest is signed with.

    Attributes:
        certificate: PEM file: the signer's certificate, and those between it and the root.
        key: PEM file of its private key, without a passphrase.
        timestamps: address of an RFC 3161 time stamp authority; None signs without one.
    """

    certificate: Path
    key: Path
    timestamps: str | None = None


@dataclass(frozen=True)
class Credentials:
    """A certificate and a key that belong together.

    Attributes:
        algorithm: as C2PA calls it.
        chain: PEM.
        fingerprint: sha256 of the signer's certificate, in hexadecimal.
        key: PEM, PKCS #8; not shown by repr().
    """

    algorithm: str
    chain: bytes
    fingerprint: str
    key: bytes

    def __repr__(self) -> str:
        return f"Credentials({self.algorithm}, {self.fingerprint})"


def signing_of(
    certificate: Path | None, key: Path | None, timestamps: str | None
) -> Signing | None:
    """What the options --c2pa-cert, --c2pa-key and --c2pa-tsa ask for; None without them.

    Raises:
        UsageError: one of them lacks another.
    """
    if certificate is None and key is None:
        if timestamps is not None:
            raise UsageError("--c2pa-tsa is for signed files: give --c2pa-cert and --c2pa-key, too")
        return None
    if certificate is None or key is None:
        missing = "--c2pa-cert" if certificate is None else "--c2pa-key"
        raise UsageError(f"--c2pa-cert and --c2pa-key belong together: give {missing}, too")
    if timestamps is not None and not timestamps.startswith(("http://", "https://")):
        raise UsageError(f"--c2pa-tsa: {timestamps} is no http or https address")
    return Signing(Path(certificate).absolute(), Path(key).absolute(), timestamps)


def unsignable(suffix: str) -> str | None:
    """Why an output whose name ends so cannot be signed, in a few words; None where it can."""
    if suffix.lower() in FORMATS:
        return None
    return "a C2PA manifest fits into .mp4, .m4v and .mov files only; choose one, or leave --c2pa-cert out"


@lru_cache(maxsize=8)
def check_signing(signing: Signing) -> Credentials:
    """Insist that files can be signed: everything is read, and one small picture is signed and read back.

    Raises:
        UsageError: the library is not installed.
        InputError: a file cannot be read, they do not belong together, or C2PA does not take them.
    """
    from talkhead_cli.marking.record import Marks

    library()
    credentials = load_credentials(signing)
    trial = build_manifest(Marks("0" * 64), {}, "image/png")
    try:
        with open_signer(signing, credentials) as signer, open_builder(trial) as builder:
            builder.sign(signer, "image/png", io.BytesIO(trial_picture()), io.BytesIO())
    except Exception as error:
        means = f" and {signing.timestamps}" if signing.timestamps else ""
        raise InputError(
            f"{signing.certificate}: C2PA cannot sign with this certificate{means} ({shorten(error)}); "
            "see docs/marking.md for what it takes"
        ) from error
    return credentials


def library() -> Any:
    """The module c2pa.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import c2pa
    except ImportError as error:
        raise UsageError(f"--c2pa-cert needs c2pa-python; {INSTALL}") from error
    return c2pa


def load_credentials(signing: Signing) -> Credentials:
    """Read certificate and key.

    Raises:
        InputError: they cannot be read, or do not belong together.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    chain = read_pem(signing.certificate)
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise InputError(
            f"{signing.certificate}: holds no certificate in PEM form; give the signer's first"
        ) from error
    secret = read_pem(signing.key)
    try:
        key = serialization.load_pem_private_key(secret, None)
    except TypeError as error:
        raise InputError(
            f"{signing.key}: the key has a passphrase; give one without, readable by you alone"
        ) from error
    except Exception as error:  # the library's own kinds are several, none of them public
        raise InputError(f"{signing.key}: holds no private key in PEM form") from error
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    der = serialization.Encoding.DER
    first = certificates[0]
    if first.public_key().public_bytes(der, public) != key.public_key().public_bytes(der, public):
        raise InputError(
            f"{signing.key}: is not the key of the first certificate in {signing.certificate}"
        )
    check_dates(first, signing.certificate)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    content = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    algorithm = algorithm_of(key, signing.key)
    return Credentials(algorithm, chain, first.fingerprint(hashes.SHA256()).hex(), content)


def read_pem(path: Path) -> bytes:
    """The content of a small file.

    Raises:
        InputError: it cannot be read, or is too large to be a certificate or key.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) > MAX_PEM_BYTES:
        raise InputError(f"{path}: is too large to be a certificate or key in PEM form")
    return content


def algorithm_of(key: object, path: Path) -> str:
    """C2PA's name of the algorithm that goes with a private key.

    Raises:
        InputError: there is none.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    raise InputError(
        f"{path}: C2PA has no algorithm for such a key; give one of P-256, P-384, P-521, Ed25519, "
        "or RSA of 2048 bits or more"
    )


def check_dates(certificate: Certificate, path: Path) -> None:
    """Insist that a certificate is valid now.

    Raises:
        InputError: it is not.
    """
    now = datetime.now(timezone.utc)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= now <= end:
        raise InputError(
            f"{path}: the certificate is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, not today; renew it"
        )


def open_signer(signing: Signing, credentials: Credentials) -> Any:
    """The library's signer; a context manager."""
    c2pa = library()
    info = c2pa.C2paSignerInfo(
        credentials.algorithm.encode(),
        credentials.chain,
        credentials.key,
        signing.timestamps.encode() if signing.timestamps else None,
    )
    return c2pa.Signer.from_info(info)


def open_builder(manifest: Mapping[str, Any]) -> Any:
    """The library's builder of a manifest; a context manager."""
    c2pa = library()
    context = c2pa.Context.from_dict(LIBRARY_SETTINGS)
    return c2pa.Builder(dict(manifest), context=context)


def sign(path: Path, signing: Signing, manifest: Mapping[str, Any], name: str) -> str:
    """Put a signed manifest into a finished file, which is replaced.

    Args:
        path: of the file, in the folder where it is written.
        signing: what to sign with.
        manifest: what to sign, from `build_manifest`.
        name: of the output, for messages.

    Returns:
        sha256 of the signer's certificate.

    Raises:
        InputError: certificate or key cannot be used any more.
        MediaError: the library failed.
    """
    credentials = check_signing(signing)
    signed = temporary_beside(path)
    try:
        with (
            open_signer(signing, credentials) as signer,
            open_builder(manifest) as builder,
            path.open("rb") as source,
            signed.open("w+b") as target,
        ):
            builder.sign(signer, FORMATS[path.suffix.lower()], source, target)
        signed.replace(path)
    except Exception as error:
        raise MediaError(
            f"{name}: the C2PA manifest could not be signed ({shorten(error)}); try again, or leave --c2pa-cert out"
        ) from error
    finally:
        signed.unlink(missing_ok=True)
    return credentials.fingerprint


def build_manifest(
    marks: Marks, ingredients: Mapping[str, tuple[str, str]], media_type: str
) -> dict[str, Any]:
    """What is signed of a video.

    Args:
        marks: what the file says of itself.
        ingredients: what it was made from: a name such as "portrait", to media type and sha256. File names are left
            out, as they often tell who is shown.
        media_type: of the file.
    """
    agent = {"name": marks.system, "version": marks.version}
    created: dict[str, Any] = {
        "action": "c2pa.created",
        "digitalSourceType": marks.source_type,
        "softwareAgent": agent,
        "description": marks.statement,
        "parameters": {"ingredientIds": list(ingredients)},
    }
    return {
        "claim_generator_info": [agent],
        "title": f"{marks.system} video",
        "format": media_type,
        "ingredients": [
            {
                "label": name,
                "title": name,
                "format": kind,
                "relationship": "inputTo",
                "instance_id": f"urn:sha256:{sha256}",
            }
            for name, (kind, sha256) in ingredients.items()
        ],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": "talkhead.render", "data": {"settings_sha256": marks.settings_sha256}},
        ],
    }


def trial_picture() -> bytes:
    """A picture of one pixel, PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def shorten(error: BaseException) -> str:
    """An error of the library in one line."""
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
