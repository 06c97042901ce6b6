"""What the lips should do when: from phones with times, or from the visemes that a speech encoder hears."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import InputError
from talkhead_cli.paths import check_input, check_regular

if TYPE_CHECKING:
    from talkhead_models.speech import SpeechFeatures

Array = NDArray[np.float64]

BILABIALS = frozenset({"p", "b", "m"})
OPEN_VOWELS = frozenset({"aa", "ae", "ao", "aw", "ay", "ah", "ey", "eh", "ow"})
PAUSES = frozenset({"pau", "sil", "h#", "sp", "#", "ssil", "brth"})
OPENNESS = {
    **dict.fromkeys((*BILABIALS, *PAUSES), 0.0),
    **dict.fromkeys(("f", "v"), 0.12),
    **dict.fromkeys(("uw", "uh", "w", "iy", "ih", "er", "ax"), 0.45),
    **dict.fromkeys(("aa", "ae", "ao", "aw", "ay"), 1.0),
    **dict.fromkeys(("ah", "eh", "ey", "ow", "oy"), 0.8),
}
"""How far each phone opens the lips, roughly; the rest `OTHER_OPENNESS`."""

VISEME_OPENNESS = {
    **dict.fromkeys(("silence", "PBM"), 0.0),
    "FV": 0.12,
    **dict.fromkeys(("UW", "IY", "AX", "R"), 0.45),
    **dict.fromkeys(("AA",), 1.0),
    **dict.fromkeys(("AE", "OH"), 0.85),
}
OPEN_VISEMES = frozenset({"AA", "AE", "OH"})

OTHER_OPENNESS = 0.3
SHORTEST_VOWEL = 0.06
"""Seconds that an open vowel must last for the lips to have time to open."""
SHORTEST_PAUSE = 0.25
REST_AFTER, REST_BEFORE = 0.12, 0.08
"""Seconds of a pause's start and end in which the lips are still, or already, on their way."""
SURE = 0.6
"""Mean posterior from which a viseme is believed."""
SHORTEST_CLOSURE = 0.04
"""Seconds of a p, b or m that a speech encoder must hear to be believed."""

LONGEST_FILE = 16 * 2**20
TICKS = 10_000_000
"""HTK counts time in units of 100 ns."""


class Segment(NamedTuple):
    """A phone or viseme with its start and end in seconds."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class LipScript:
    """What the lips should do, and when.

    Attributes:
        judged_by: what it was made from.
        segments: phones or visemes in order.
        closures: where the lips must meet.
        openings: where they must open wide.
        rests: where they should rest, (start, end) in seconds with the ways in and out cut off.
        steps: (L,) seconds at which `openness` is known; empty where the segments say it.
        openness: (L,) wanted opening in [0, 1].
    """

    judged_by: Literal["phones", "visemes"]
    segments: tuple[Segment, ...]
    closures: tuple[Segment, ...]
    openings: tuple[Segment, ...]
    rests: tuple[tuple[float, float], ...]
    steps: Array
    openness: Array

    def wanted(self, times: Array) -> Array:
        """Wanted opening in [0, 1] at times (T,) in seconds."""
        if len(self.steps):
            return np.asarray(np.interp(times, self.steps, self.openness), np.float64)
        wanted = np.zeros(len(times))
        for label, start, end in self.segments:
            wanted[(times >= start) & (times < end)] = OPENNESS.get(label, OTHER_OPENNESS)
        return wanted


def script_of_phones(phones: tuple[Segment, ...]) -> LipScript:
    """The script of phones whose times are known."""
    return LipScript(
        "phones",
        phones,
        tuple(item for item in phones if item.label in BILABIALS),
        tuple(
            item
            for item in phones
            if item.label in OPEN_VOWELS and item.end - item.start >= SHORTEST_VOWEL
        ),
        rests_of(item for item in phones if item.label in PAUSES),
        np.zeros(0),
        np.zeros(0),
    )


def rests_of(pauses: Iterable[Segment]) -> tuple[tuple[float, float], ...]:
    """The inner parts of pauses that are long enough for the lips to come to rest."""
    return tuple(
        (start + REST_AFTER, end - REST_BEFORE)
        for _, start, end in pauses
        if end - start >= SHORTEST_PAUSE
    )


def script_of_features(features: SpeechFeatures) -> LipScript:
    """The script of what a speech encoder hears: visemes at 50 a second with their posteriors."""
    from talkhead_models.speech import NUM_VISEMES, STEP_RATE, VISEMES

    posteriors = features.array[:, :NUM_VISEMES].astype(np.float64)
    runs = viseme_runs(posteriors)
    segments = tuple(segment for segment, _ in runs)
    believed = [segment for segment, share in runs if share >= SURE]
    openness = np.array([VISEME_OPENNESS.get(name, OTHER_OPENNESS) for name in VISEMES])
    return LipScript(
        "visemes",
        segments,
        tuple(s for s in believed if s.label == "PBM" and s.end - s.start >= SHORTEST_CLOSURE),
        tuple(s for s in believed if s.label in OPEN_VISEMES and s.end - s.start >= SHORTEST_VOWEL),
        rests_of(s for s in segments if s.label == "silence"),
        (np.arange(len(posteriors)) + 0.5) / STEP_RATE,
        posteriors @ openness,
    )


def viseme_runs(posteriors: Array) -> list[tuple[Segment, float]]:
    """Runs of the likeliest viseme, each with its mean posterior.

    Args:
        posteriors: (L, 16) that sum to 1, at 50 a second.
    """
    from talkhead_models.speech import STEP_RATE, VISEMES

    if not len(posteriors):
        return []
    best = posteriors.argmax(1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))
    ends = np.append(starts[1:], len(best))
    return [
        (
            Segment(VISEMES[best[start]], start / STEP_RATE, end / STEP_RATE),
            float(posteriors[start:end, best[start]].mean()),
        )
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def read_phones(path: Path) -> tuple[Segment, ...]:
    """Phones with times from a file of ``phone:end_seconds`` items (flite -psdur) or an HTK label file (100 ns units).

    Full-context and triphone labels are cut down to their middle phone, stress digits are dropped.

    Raises:
        InputError: the file cannot be read, holds something else, or no phone that is known.
    """
    check_input(path)
    check_regular(path)
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise InputError(f"{path}: is too large for a file of phones; give another")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); give a phone file") from error
    words = text.split()
    items = flite_items(words) if words and ":" in words[0] else htk_items(text)
    if not items:
        raise InputError(
            f"{path}: holds no phones; give `phone:end_seconds` items as flite -psdur prints, or HTK labels"
        )
    check_times(path, items)
    if not any(item.label in OPENNESS for item in items):
        raise InputError(
            f"{path}: none of its phones is known ({items[0].label}, ...): use ARPAbet"
        )
    return items


def flite_items(words: list[str]) -> tuple[Segment, ...]:
    """Segments of ``phone:end`` items; none where one is malformed."""
    result, start = [], 0.0
    for word in words:
        label, _, end = word.rpartition(":")
        try:
            result.append(Segment(plain_phone(label), start, float(end)))
        except ValueError:
            return ()
        start = result[-1].end
    return tuple(result)


def htk_items(text: str) -> tuple[Segment, ...]:
    """Segments of lines ``start end label`` in units of 100 ns; none where one is malformed."""
    result = []
    for line in text.splitlines():
        parts = line.split()
        if not parts or parts[0].startswith(("#!MLF!#", '"')):
            continue
        if parts == ["."]:
            break
        if len(parts) < 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
            return ()
        start, end = int(parts[0]) / TICKS, int(parts[1]) / TICKS
        result.append(Segment(plain_phone(parts[2]), start, end))
    return tuple(result)


def plain_phone(label: str) -> str:
    """The phone of a label: "AH0" is "ah", "x^x-sil+hh=iy@1_2" is "sil"."""
    context = re.search(r"-([^-+]+)\+", label)
    name = context.group(1) if context else re.sub(r"^.*-|\+.*$", "", label) or label
    return name.lower().rstrip("0123456789") or name


def check_times(path: Path, items: tuple[Segment, ...]) -> None:
    """Insist on times that run forwards.

    Raises:
        InputError: they do not.
    """
    before = 0.0
    for number, item in enumerate(items, 1):
        if not (np.isfinite(item.end) and before - 1e-6 <= item.start <= item.end):
            raise InputError(
                f"{path}: phone {number} ({item.label}) ends before it starts or overlaps another; mend the times"
            )
        before = item.end
