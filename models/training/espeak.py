"""Speech of the espeak-ng library with the exact time of every phone, in any of its hundred languages.

For training data and benchmarks only; nothing that talkhead does needs it. Needs the library itself (Debian: espeak-ng;
Homebrew: espeak-ng), no Python package.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import soxr

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from speech_labels import Segment  # noqa: E402

from talkhead_cli.mel import SAMPLE_RATE  # noqa: E402
from talkhead_models.phones import ipa_visemes  # noqa: E402

LIBRARIES = ("libespeak-ng.so.1", "libespeak-ng.1.dylib", "libespeak-ng.dll")


class EspeakError(RuntimeError):
    """The library is missing or refuses."""


class Phone(NamedTuple):
    """A phone in IPA with its start and end in seconds; a pause has no name."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Spoken:
    """An utterance.

    Attributes:
        wave: (n,) float32 at 16 kHz, in [-1, 1].
        phones: from its start to its end without gaps.
    """

    wave: np.ndarray
    phones: tuple[Phone, ...]

    @property
    def segments(self) -> list[Segment]:
        """The phones as visemes, as `speech_labels.label` takes them; before the first the energy decides."""
        start: list[Segment] = [(self.phones[0].start, ())]
        return start + [(phone.end, ipa_visemes(phone.name)) for phone in self.phones]


class Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h, its union as the eight bytes of a phoneme's name."""

    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("phoneme", ctypes.c_char * 8),
    ]


class Espeak:
    """The library, once a process: it has a single state, which threads cannot share."""

    RETRIEVAL = 2  # AUDIO_OUTPUT_SYNCHRONOUS would play; this hands the samples over
    PHONEME_EVENTS, PHONEME_IPA = 1, 2
    PHONEME_EVENT = 7
    UTF8 = 1
    RATE, PITCH, RANGE = 1, 3, 4

    def __init__(self) -> None:
        """Load the library.

        Raises:
            EspeakError: it is not installed.
        """
        self.library = load_library()
        options = self.PHONEME_EVENTS | self.PHONEME_IPA
        self.rate = self.library.espeak_Initialize(self.RETRIEVAL, 0, None, options)
        if self.rate <= 0:
            raise EspeakError("espeak-ng does not find its data: install espeak-ng-data")
        self.pieces: list[np.ndarray] = []
        self.events: list[tuple[float, str]] = []
        prototype = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event)
        )
        self.callback = prototype(self._receive)  # kept: the library holds no reference
        self.library.espeak_SetSynthCallback(self.callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        """What the library calls with each piece of sound."""
        if samples and count > 0:
            self.pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type:
            event = events[index]
            if event.type == self.PHONEME_EVENT:
                name = event.phoneme.decode("utf-8", "ignore")
                self.events.append((event.sample / self.rate, name))
            index += 1
        return 0

    def speak(
        self, voice: str, text: str, speed: int = 160, pitch: int = 50, spread: int = 50
    ) -> Spoken | None:
        """An utterance; None where the library has nothing to say.

        Args:
            voice: language and, behind a plus, a variant: ``de``, ``en-us+f5``; `espeak-ng --voices` lists them.
            text: in the language's own script.
            speed: words a minute, 80 to 450.
            pitch, spread: 0 to 99.

        Raises:
            EspeakError: there is no such voice.
        """
        self.pieces, self.events = [], []
        if self.library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"espeak-ng has no voice {voice}: see `espeak-ng --voices`")
        for parameter, value in ((self.RATE, speed), (self.PITCH, pitch), (self.RANGE, spread)):
            self.library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 0, 0, self.UTF8, None, None)
        self.library.espeak_Synchronize()
        if not self.pieces or len(self.events) < 3:
            return None
        wave = np.concatenate(self.pieces).astype(np.float32) / 32768
        ends = [start for start, _ in self.events[1:]] + [len(wave) / self.rate]
        phones = tuple(
            Phone(name, start, end) for end, (start, name) in zip(ends, self.events, strict=True)
        )
        return Spoken(soxr.resample(wave, self.rate, SAMPLE_RATE), phones)

    def utterances(
        self, language: str, texts: Sequence[str], variants: Sequence[str], seed: int
    ) -> Iterator[Spoken]:
        """Utterances of a language without end: a text, a variant, a pace and a pitch drawn for each.

        Args:
            language: a voice of the library without a variant.
            texts: to draw from.
            variants: of the voice; "" is the voice itself.
            seed: the same draws the same; the sound itself is the same but for the library's own noise.

        Raises:
            EspeakError: there is no such voice.
        """
        rng = random.Random(f"{language} {seed}")
        while True:
            variant = rng.choice(variants)
            numbers = rng.randint(110, 230), rng.randint(20, 80), rng.randint(20, 80)
            voice = f"{language}+{variant}" if variant else language
            spoken = self.speak(voice, rng.choice(texts), *numbers)
            if spoken is not None:
                yield spoken


def load_library() -> ctypes.CDLL:
    """The shared library.

    Raises:
        EspeakError: it is not installed.
    """
    found = ctypes.util.find_library("espeak-ng")
    for name in (*LIBRARIES, *([found] if found else [])):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise EspeakError("the espeak-ng library is not installed: install espeak-ng (apt, brew, dnf)")
