"""Reading C2PA manifests and checking them; no address that a file names is reached out to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from talkhead_cli.errors import UsageError
from talkhead_cli.marking.reading import Kind
from talkhead_cli.marking.signing import INSTALL, LIBRARY_SETTINGS, library, shorten

MEDIA_TYPES: dict[Kind, str] = {"mov": "video/mp4", "png": "image/png"}

UNTRUSTED = "signingCredential.untrusted"
"""Status of a signature that is right, by somebody whom no list of trusted authorities vouches for."""


@dataclass(frozen=True)
class Credentials:
    """What a file's manifest says, and whether it is true.

    Attributes:
        state: "absent", "trusted", "untrusted" (intact, but nobody vouches for the signer), "broken" (the file was
            changed after it was signed, or the manifest is damaged) or "unread" (the library is not installed).
        detail: what to know of it, for people.
        signer: name in the certificate.
        source_types: digital source types of its actions.
        settings_sha256: where talkhead has written it.
    """

    state: Literal["absent", "trusted", "untrusted", "broken", "unread"]
    detail: str = ""
    signer: str = ""
    source_types: tuple[str, ...] = ()
    settings_sha256: str = ""


def read_manifest(path: Path, kind: Kind) -> Credentials:
    """A file's manifest, checked by the library."""
    if kind not in MEDIA_TYPES:
        return Credentials("absent", "the container holds none")
    try:
        c2pa = library()
    except UsageError:
        return Credentials("unread", f"c2pa-python is not there to look for one; {INSTALL}")
    try:
        context = c2pa.Context.from_dict(LIBRARY_SETTINGS)
        with path.open("rb") as file:
            reader = c2pa.Reader(MEDIA_TYPES[kind], file, context=context)
            with reader:
                return judge(json.loads(reader.json()))
    except c2pa.C2paError.ManifestNotFound:
        return Credentials("absent")
    except (c2pa.C2paError, OSError, ValueError, RecursionError) as error:
        return Credentials("broken", f"cannot be read ({shorten(error)})")


def judge(store: dict[str, Any]) -> Credentials:
    """What the library's report comes to."""
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signer = str(active.get("signature_info", {}).get("common_name") or "")
    results = store.get("validation_results", {}).get("activeManifest", {})
    failures = [str(item.get("code", "")) for item in results.get("failure", [])]
    serious = [code for code in failures if code != UNTRUSTED]
    state = store.get("validation_state")
    found: dict[str, Any] = {
        "signer": signer,
        "source_types": tuple(source_types(store)),
        "settings_sha256": settings_of(active),
    }
    if state not in {"Valid", "Trusted"} or serious:
        words = ", ".join(serious) or "the manifest is not valid"
        return Credentials("broken", f"changed after it was signed, or damaged: {words}", **found)
    by = f"signed by {signer or 'nobody named'}"
    if state == "Trusted":
        return Credentials("trusted", by, **found)
    return Credentials("untrusted", f"intact, {by}, whom no trust list knows", **found)


def source_types(store: dict[str, Any]) -> Iterator[str]:
    """Digital source types of all actions of all manifests, each once."""
    seen: set[str] = set()
    for manifest in store.get("manifests", {}).values():
        for assertion in manifest.get("assertions", []):
            if not str(assertion.get("label", "")).startswith("c2pa.actions"):
                continue
            for action in assertion.get("data", {}).get("actions", []):
                found = str(action.get("digitalSourceType", ""))
                if found and found not in seen:
                    seen.add(found)
                    yield found


def settings_of(manifest: dict[str, Any]) -> str:
    """What talkhead has written into a manifest of the settings; "" where it has not."""
    for assertion in manifest.get("assertions", []):
        if assertion.get("label") == "talkhead.render":
            return str(assertion.get("data", {}).get("settings_sha256", ""))
    return ""
