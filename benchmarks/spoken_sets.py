"""Speech to be judged by: synthetic voices whose phones are known to the millisecond, and recordings from a folder."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.audio import decode_blocks, features_of, read_header, resample_blocks
from talkhead_cli.evaluation.phones import (
    OTHER_OPENNESS,
    SHORTEST_VOWEL,
    VISEME_OPENNESS,
    LipScript,
    Segment,
    read_phones,
    rests_of,
    script_of_features,
    script_of_phones,
)
from talkhead_cli.mel import SAMPLE_RATE
from talkhead_models.lip_audio import LipAudioEncoder
from talkhead_models.phones import ipa_visemes
from talkhead_models.speech import VISEMES, SpeechEncoder, SpeechFeatures

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from espeak import Espeak, Phone
from language_texts import LANGUAGE_NAMES, LANGUAGE_TEXTS

Wave = NDArray[np.float32]

BILABIALS = frozenset("pbmɓʙ")
OPEN_VOWELS = frozenset("aɶɑɒæɐɛœɜʌɔ")
"""Open and open-mid vowels of the chart of the International Phonetic Association."""

PAUSE_SECONDS = 0.7
"""Between sentences, digital silence; the last one is as long."""

SHORTEST_SILENCE = 0.1
"""Seconds from which a phone without a name is a pause, not the hold of a stop or a joint of two words."""

QUIET_BELOW = 35.0
"""dB below the 95th percentile of the energy at which a recording pauses."""

STEPS = 100
"""Points a second at which the wanted opening is known."""

SUFFIXES = {".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus"}


@dataclass(frozen=True)
class Voice:
    """A way of speaking of the synthesizer.

    Attributes:
        name: for the tables.
        variant: of espeak-ng; "" is the language's own, which one in sixty synthetic utterances of the training data
            has, in other words. None of the others is in the training data.
        speed: words a minute.
        pitch: 0 to 99.
    """

    name: str
    variant: str
    speed: int
    pitch: int


VOICES = (Voice("male", "", 160, 50), Voice("female", "f5", 170, 60), Voice("low", "m8", 140, 30))

MANNERS = (
    Voice("slow", "", 90, 50),
    Voice("fast", "", 260, 50),
    Voice("high", "f5", 170, 99),
    Voice("whisper", "whisper", 150, 50),
    Voice("creaky", "croak", 150, 30),
)


@dataclass(frozen=True)
class Recording:
    """Speech and what the lips should do.

    Attributes:
        name: of the recording.
        language: a name, or "" where it is not known.
        voice: a name.
        wave: (n,) float32 at 16 kHz.
        script: from known phones; None where there are none.
    """

    name: str
    language: str
    voice: str
    wave: Wave
    script: LipScript | None

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.wave) / SAMPLE_RATE


# Synthetic voices


def openness_of(name: str) -> float | None:
    """Wanted opening of an IPA phone in [0, 1], mean over its visemes; None for one without any."""
    found = [VISEME_OPENNESS.get(VISEMES[index], OTHER_OPENNESS) for index in ipa_visemes(name)]
    return float(np.mean(found)) if found else None


def first_letter(name: str) -> str:
    """The letter that an IPA phone begins with, without marks above or below it."""
    return unicodedata.normalize("NFD", name)[0]


def with_pauses_joined(phones: Iterable[Phone]) -> list[Phone]:
    """The same phones with neighbouring pauses as one."""
    result: list[Phone] = []
    for phone in phones:
        if result and not phone.name and not result[-1].name:
            result[-1] = result[-1]._replace(end=phone.end)
        else:
            result.append(phone)
    return result


def script_of_ipa(phones: Sequence[Phone]) -> LipScript:
    """What the lips should do for phones of espeak-ng."""
    joined = with_pauses_joined(phones)
    times = (np.arange(round(joined[-1].end * STEPS)) + 0.5) / STEPS
    wanted = np.zeros(len(times))
    before = 0.0
    for phone in joined:
        inside = (times >= phone.start) & (times < phone.end)
        opening = openness_of(phone.name)
        if not phone.name and phone.end - phone.start >= SHORTEST_SILENCE:
            opening = 0.0
        before = before if opening is None else opening
        wanted[inside] = before
    segments = tuple(Segment(*phone) for phone in joined)
    spoken = [segment for segment in segments if segment.label]
    return LipScript(
        "phones",
        segments,
        tuple(s for s in spoken if first_letter(s.label) in BILABIALS),
        tuple(
            s
            for s in spoken
            if first_letter(s.label) in OPEN_VOWELS and s.end - s.start >= SHORTEST_VOWEL
        ),
        rests_of(segment for segment in segments if not segment.label),
        times,
        wanted,
    )


def synthetic(engine: Espeak, language: str, voice: Voice) -> Recording:
    """A language's sentences one after another with pauses between.

    Raises:
        EspeakError: there is no such voice.
    """
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE), np.float32)
    pieces: list[Wave] = [pause]
    phones = [Phone("", 0.0, PAUSE_SECONDS)]
    name = f"{language}+{voice.variant}" if voice.variant else language
    for text in LANGUAGE_TEXTS[language]:
        spoken = engine.speak(name, text, voice.speed, voice.pitch)
        if spoken is None:
            continue
        start = sum(map(len, pieces)) / SAMPLE_RATE
        pieces += [np.asarray(spoken.wave, np.float32), pause]
        phones += [Phone(p.name, start + p.start, start + p.end) for p in spoken.phones]
        end = sum(map(len, pieces)) / SAMPLE_RATE
        phones.append(Phone("", phones[-1].end, end))
    wave = np.concatenate(pieces)
    script = script_of_ipa(phones)
    return Recording(f"{language} {voice.name}", LANGUAGE_NAMES[language], voice.name, wave, script)


# Recordings


def recordings(folder: Path) -> Iterator[Recording]:
    """The sound files of a folder, with phones where a .phones or .lab file of the same name is beside them.

    Raises:
        InputError: a file cannot be used.
    """
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        rate = read_header(path).sample_rate
        wave = np.concatenate(list(resample_blocks(decode_blocks(path), rate)))
        labels = [path.with_suffix(suffix) for suffix in (".phones", ".lab")]
        known = next((label for label in labels if label.exists()), None)
        script = script_of_phones(read_phones(known)) if known else None
        yield Recording(path.stem, "", path.stem.split("_")[0], wave, script)


def quiet_stretches(wave: Wave) -> tuple[tuple[float, float], ...]:
    """Where a recording pauses, by its energy alone, the ways in and out cut off; (start, end) in seconds."""
    step = SAMPLE_RATE // 100
    powers = (
        np.square(wave[: len(wave) // step * step].astype(np.float64)).reshape(-1, step).mean(1)
    )
    decibels = 10 * np.log10(powers + 1e-12)
    calm = decibels < np.percentile(decibels, 95) - QUIET_BELOW
    edges = np.flatnonzero(np.diff(np.concatenate([[0], calm.astype(int), [0]])))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return rests_of(Segment("pau", start / 100, end / 100) for start, end in pairs)


def script_as_heard(recording: Recording, features: SpeechFeatures) -> LipScript:
    """The script of a recording without phones: visemes as the speech encoder hears them, pauses by energy."""
    return replace(script_of_features(features), rests=quiet_stretches(recording.wave))


def features_of_wave(
    wave: Wave, encoder: SpeechEncoder, lips: LipAudioEncoder | None
) -> SpeechFeatures:
    """Speech features of a waveform at 16 kHz, as a file's."""
    array = np.concatenate(list(features_of(iter([wave]), encoder, lips)))
    return SpeechFeatures(array, len(wave) / SAMPLE_RATE)
