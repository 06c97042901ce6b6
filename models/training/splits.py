"""Who is held out of training, for every stage alike: one rule, by name, so that no list has to be
kept.

A person is held out when the SHA-1 of the name falls in the first fifth, or when the name begins
with one of `HELD_OUT_PREFIXES` (the other GRID speakers, which judge lip sync on people never
seen). The single speaker `SINGLE_SPEAKER`, who is most of the speech, is never held out as a
person; a tenth of his clips is.
"""

from __future__ import annotations

import hashlib

HELD_OUT_PREFIXES = ("rizkiarm_evaluation_samples_",)
"""Names that are always held out."""

SINGLE_SPEAKER = "grid_s1"
"""The one speaker with many clips."""


def name_hash(name: str) -> int:
    """A hash of a name that is the same on every machine and in every process."""
    return int(hashlib.sha1(name.encode("utf-8"), usedforsecurity=False).hexdigest(), 16)


def is_held_out(person: str) -> bool:
    """Whether a person is kept for judging."""
    if person == SINGLE_SPEAKER:
        return False
    return person.startswith(HELD_OUT_PREFIXES) or name_hash(person) % 5 == 0


def is_validation_clip(person: str, clip: str) -> bool:
    """Whether a clip judges rather than trains: its person is held out, or it is in the single
    speaker's tenth.

    Args:
        person: the clip's person.
        clip: the clip's name without folder and suffix.
    """
    return is_held_out(person) or (person == SINGLE_SPEAKER and name_hash(clip) % 10 == 0)
