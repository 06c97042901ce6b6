"""What happens to speech on its way: noise, other voices, music, telephone, room, codecs. All of it seeded.

Every condition takes speech (n,) float32 at 16 kHz and gives as much back, in time with it to the sample (the codecs to
what ffmpeg makes up for).
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

from talkhead_cli.media import ffmpeg_path
from talkhead_cli.mel import SAMPLE_RATE

Wave = NDArray[np.float32]

SNR = 10.0
"""dB of the speech's active level over the disturbance."""

ACTIVE_RANGE = 30.0
"""dB below the loudest 10 ms within which a stretch counts as speech, for its level."""

REVERBERATION_SECONDS = 0.6
NUM_BABBLERS = 6


def level(wave: Wave) -> float:
    """Root mean square of the stretches that hold sound."""
    step = SAMPLE_RATE // 100
    powers = (
        np.square(wave[: len(wave) // step * step].astype(np.float64)).reshape(-1, step).mean(1)
    )
    loud = powers >= powers.max() * 10 ** (-ACTIVE_RANGE / 10)
    return float(np.sqrt(powers[loud].mean()))


def mixed(speech: Wave, noise: Wave, snr: float) -> Wave:
    """Speech with a disturbance so many dB below it."""
    gain = level(speech) / max(level(noise), 1e-9) * 10 ** (-snr / 20)
    total = speech + gain * noise[: len(speech)]
    return np.asarray(total / max(1.0, np.abs(total).max()), np.float32)


def white(speech: Wave, rng: np.random.Generator) -> Wave:
    """White noise."""
    return mixed(speech, rng.standard_normal(len(speech)).astype(np.float32), SNR)


def babble_of(voices: Sequence[Wave]) -> Callable[[Wave, np.random.Generator], Wave]:
    """A condition: several of these voices talk at once behind the speech."""

    def babble(speech: Wave, rng: np.random.Generator) -> Wave:
        total = np.zeros(len(speech), np.float32)
        for index in rng.choice(len(voices), NUM_BABBLERS):
            voice = voices[int(index)]
            voice = voice[np.abs(voice) > 0]  # without the pauses between the sentences
            total += np.resize(np.roll(voice, int(rng.integers(len(voice)))), len(speech)) / level(
                voice
            )
        return mixed(speech, total, SNR)

    return babble


def music_bed(count: int, rng: np.random.Generator) -> Wave:
    """A simple piece: four chords in turn with a bass below, an arpeggio above and a beat."""
    times = np.arange(count) / SAMPLE_RATE
    beat = 60 / 100
    result = np.zeros(count)
    chords = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
    for number in range(int(times[-1] / beat) + 1):
        chord = chords[number // 4 % 4]
        since = times - number * beat
        held = np.where(since >= 0, np.exp(-np.clip(since, 0, None) / 0.5), 0) * (since < 2)
        arpeggio = chord[number % 3] + 12
        for note, gain in ((chord[0] - 24, 1.0), (chord[1], 0.4), (chord[2], 0.4), (arpeggio, 0.6)):
            pitch = 220 * 2 ** (note / 12)
            for harmonic in range(1, 7):
                if pitch * harmonic < SAMPLE_RATE / 2:
                    wave = np.sin(2 * np.pi * pitch * harmonic * since + rng.uniform(0, 6.3))
                    result += gain / harmonic**1.5 * held * wave
        knock = np.where(since >= 0, np.exp(-np.clip(since, 0, None) / 0.03), 0)
        result += 0.8 * knock * rng.standard_normal(count)
    return result.astype(np.float32)


def music(speech: Wave, rng: np.random.Generator) -> Wave:
    """Music under the speech."""
    return mixed(speech, music_bed(len(speech), rng), SNR)


def telephone(speech: Wave, rng: np.random.Generator) -> Wave:
    """300 to 3400 Hz, 8 kHz, eight bits of mu-law (ITU-T G.711)."""
    band = butter(4, (300, 3400), "bandpass", fs=SAMPLE_RATE, output="sos")
    narrow = resample_poly(sosfilt(band, speech), 1, 2)
    peak = max(np.abs(narrow).max(), 1e-9)
    coded = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256)
    coded = np.round(coded * 127) / 127
    decoded = np.sign(coded) * (256 ** np.abs(coded) - 1) / 255 * peak
    return np.asarray(resample_poly(decoded, 2, 1)[: len(speech)], np.float32)


def room(speech: Wave, rng: np.random.Generator) -> Wave:
    """A room with bare walls: as much reverberant sound as direct, which decays by 60 dB in 0.6 s."""
    times = np.arange(int(1.2 * REVERBERATION_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(times)) * np.exp(-np.log(1000) * times / REVERBERATION_SECONDS)
    tail[: int(0.004 * SAMPLE_RATE)] = 0
    tail /= np.sqrt(np.square(tail).sum())
    total = speech + fftconvolve(speech, tail)[: len(speech)]
    return np.asarray(total / max(1.0, np.abs(total).max()), np.float32)


def quiet(speech: Wave, rng: np.random.Generator) -> Wave:
    """36 dB down, as 16 bits."""
    return np.asarray(np.round(speech * 10 ** (-36 / 20) * 32767) / 32767, np.float32)


def clipped(speech: Wave, rng: np.random.Generator) -> Wave:
    """Overdriven: 18 dB above full scale of its active level's peaks."""
    return np.asarray(np.clip(speech / max(level(speech), 1e-9) * 0.8, -1, 1), np.float32)


def run_ffmpeg(command: Sequence[str], sent: bytes) -> bytes:
    """Standard output of ffmpeg for its standard input."""
    return subprocess.run(command, input=sent, capture_output=True, check=True).stdout


def coded_by(
    arguments: Sequence[str], container: str
) -> Callable[[Wave, np.random.Generator], Wave]:
    """A condition: there and back through a codec of ffmpeg's."""

    def coded(speech: Wave, rng: np.random.Generator) -> Wave:
        raw = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "1"]
        with tempfile.TemporaryDirectory() as folder:
            # Through a file: what tells the decoder of the encoder's delay is written at the end, at its beginning.
            path = str(Path(folder) / f"speech.{container}")
            command = [ffmpeg_path(), "-v", "error"]
            run_ffmpeg([*command, *raw, "-i", "pipe:0", *arguments, path], speech.tobytes())
            wave = np.frombuffer(run_ffmpeg([*command, "-i", path, *raw, "pipe:1"], b""), "<f4")
        short = max(0, len(speech) - len(wave))
        return np.asarray(np.pad(wave, (0, short))[: len(speech)], np.float32)

    return coded


@dataclass(frozen=True)
class Condition:
    """A way that speech takes.

    Attributes:
        name: for the table.
        apply: to speech, with a source of randomness.
        noisy: whether it is one of the disturbances at `SNR`.
    """

    name: str
    apply: Callable[[Wave, np.random.Generator], Wave]
    noisy: bool = False


def conditions(babblers: Sequence[Wave]) -> list[Condition]:
    """All of them; the voices are for the babble."""
    return [
        Condition("white noise, 10 dB", white, noisy=True),
        Condition("babble of six voices, 10 dB", babble_of(babblers), noisy=True),
        Condition("music, 10 dB", music, noisy=True),
        Condition("telephone (300-3400 Hz, mu-law)", telephone),
        Condition("room (0.6 s)", room),
        Condition("mp3, 32 kbit/s", coded_by(["-c:a", "libmp3lame", "-b:a", "32k"], "mp3")),
        Condition("opus, 12 kbit/s", coded_by(["-c:a", "libopus", "-b:a", "12k"], "ogg")),
        Condition("36 dB too quiet", quiet),
        Condition("overdriven", clipped),
    ]
