"""References to the consent of the person shown: a text of the user's, carried into OUT.json and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from talkhead_cli.sidecar import read_sidecar, sidecar_path, write_sidecar

COLUMN = "consent_ref"

MAX_CONSENT = 200
"""Characters of a reference; it names a document and is none."""


def unfit_consent(text: str) -> str | None:
    """Why a text cannot be a reference; None where it can."""
    if len(text) > MAX_CONSENT:
        return (
            f"a reference has at most {MAX_CONSENT} characters, this one has {len(text)}; "
            "name the document only"
        )
    if not text.isprintable():
        return "the reference holds a line break or a control character; remove it"
    return None


def consent_in(carried: Mapping[str, str]) -> str:
    """The reference among the user's own columns of a row; "" where there is none.

    Args:
        carried: heading to text.
    """
    from talkhead_cli.batch.columns import normalize

    found = next((value for name, value in carried.items() if normalize(name) == COLUMN), "")
    # JSON's way to say "not given", as text.
    return "" if found == "null" else found


def renew_consent(output: Path, consent_ref: str) -> None:
    """Let the JSON file of a video that is there name another consent.

    Args:
        output: the video; nothing is done where it has no JSON file of ours.
        consent_ref: the new reference; "" for none.

    Raises:
        InputError: the file cannot be written.
    """
    record = read_sidecar(output)
    if isinstance(record.get("marking"), dict):
        record["marking"][COLUMN] = consent_ref or None
        write_sidecar(sidecar_path(output), record)
