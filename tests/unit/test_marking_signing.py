"""Certificates and keys: what is refused before the first frame, in one sentence each."""

from __future__ import annotations

import builtins
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from talkhead_cli.errors import InputError, UsageError
from talkhead_cli.marking import signing
from talkhead_cli.marking.record import Marks
from talkhead_cli.marking.signing import Signing, check_signing, signing_of, unsignable
from talkhead_cli.marking.stamp import Stamp, check_marking
from talkhead_cli.result import OutputOptions
from talkhead_cli.settings import RenderSettings
from tests.certificates import PEM, make_signing

KEYS: dict[str, Callable[[], object]] = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    return make_signing(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("algorithm", KEYS)
def test_the_algorithm_is_the_keys(tmp_path: Path, algorithm: str) -> None:
    found = check_signing(make_signing(tmp_path, KEYS[algorithm]()))
    assert found.algorithm == algorithm
    assert len(found.fingerprint) == 64
    assert "PRIVATE" not in repr(found)


def encrypt(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    secret = serialization.BestAvailableEncryption(b"secret")
    path.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, secret))


SPOILED: dict[str, tuple[Callable[[Signing], object], str]] = {
    "no certificate": (lambda it: it.certificate.unlink(), r"cert\.pem: cannot be read \(No such"),
    "no key": (lambda it: it.key.unlink(), r"key\.pem: cannot be read \(No such"),
    "swapped": (
        lambda it: shutil.copy(it.key, it.certificate),
        r"cert\.pem: holds no certificate in PEM form",
    ),
    "no key in it": (
        lambda it: shutil.copy(it.certificate, it.key),
        r"key\.pem: holds no private key in PEM form",
    ),
    "endless": (lambda it: it.key.write_bytes(bytes(2 << 20)), "too large to be a certificate"),
    "passphrase": (lambda it: encrypt(it.key), r"key\.pem: the key has a passphrase"),
    "another key": (
        lambda it: shutil.copy(make_signing(it.key.parent / "other").key, it.key),
        r"key\.pem: is not the key of the first certificate",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_cannot_sign_is_told(tmp_path: Path, case: str) -> None:
    spoil, message = SPOILED[case]
    made = make_signing(tmp_path)
    spoil(made)
    with pytest.raises(InputError, match=message):
        check_signing(made)


def test_a_certificate_of_last_year_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not today; renew it"):
        check_signing(make_signing(tmp_path, days=-5))


def test_a_curve_that_c2pa_has_not_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no algorithm for such a key"):
        check_signing(make_signing(tmp_path, ec.generate_private_key(ec.SECP256K1())))


def test_what_the_library_refuses_is_told(tmp_path: Path, good: Signing) -> None:
    # A chain without the authority, and an authority in the signer's place.
    made = make_signing(tmp_path)
    second = made.certificate.read_bytes().split(b"-----END CERTIFICATE-----\n")[1]
    made.certificate.write_bytes(second + b"-----END CERTIFICATE-----\n")
    with pytest.raises(InputError, match="is not the key of"):
        check_signing(made)
    nowhere = Signing(good.certificate, good.key, "http://127.0.0.1:9/")
    with pytest.raises(InputError, match=r"cannot sign with this certificate and http://127\.0"):
        check_signing(nowhere)


def test_without_the_library_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: object) -> object:
        if name == "c2pa":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"needs c2pa-python; install it: pip install"):
        check_signing(make_signing(tmp_path))


def test_options_belong_together(tmp_path: Path) -> None:
    cert, key = tmp_path / "c", tmp_path / "k"
    assert signing_of(None, None, None) is None
    assert signing_of(cert, key, "https://tsa.example") == Signing(cert, key, "https://tsa.example")
    for given, message in (
        ((cert, None, None), "give --c2pa-key"),
        ((None, key, None), "give --c2pa-cert"),
        ((None, None, "http://tsa"), "give --c2pa-cert and --c2pa-key"),
        ((cert, key, "file:///etc/passwd"), "no http or https address"),
    ):
        with pytest.raises(UsageError, match=message):
            signing_of(*given)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", "", ".png"])
def test_only_mp4_and_quicktime_can_be_signed(suffix: str, good: Signing) -> None:
    assert unsignable(suffix) is not None
    options = OutputOptions(signing=good)
    with pytest.raises(UsageError, match="fits into"):
        check_marking(RenderSettings(), options, Path(f"out{suffix}"))


def test_contradictions_are_told(good: Signing) -> None:
    options = OutputOptions(signing=good)
    with pytest.raises(UsageError, match="a stream cannot be signed"):
        check_marking(RenderSettings(), options, None)
    with pytest.raises(UsageError, match="--no-marking leaves out"):
        check_marking(RenderSettings(marking=False), options, Path("out.mp4"))
    with pytest.raises(UsageError, match=r"--consent-ref: .* line break"):
        check_marking(RenderSettings(), OutputOptions(consent_ref="a\nb"), Path("out.mp4"))
    check_marking(RenderSettings(), options, Path("out.mp4"))


def test_the_key_is_neither_logged_nor_left(
    tmp_path: Path, good: Signing, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = good.key.read_text().splitlines()[1]
    film = tmp_path / "film.mp4"
    film.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0")
    monkeypatch.setattr(signing, "FORMATS", {".mp4": "image/png"})  # which it is not
    with pytest.raises(Exception, match="could not be signed") as failure:
        Stamp(Marks("ab" * 32), good).seal(film, "film.mp4")
    assert secret not in str(failure.value) + caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
