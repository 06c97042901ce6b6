"""Faults of recordings, applied to the waveform of training speech: rooms, noise, music, other voices, lines, codecs.

The mel-domain variation of `speech_augment` is cheap and drawn anew at each step; this is exact and done once. All of
it is seeded by the generator that is passed in. Waveforms are float32 at 16 kHz.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from talkhead_cli.mel import SAMPLE_RATE  # noqa: E402

Wave = np.ndarray
Generator = np.random.Generator


def speech_level(wave: Wave) -> float:
    """RMS of the loud half of a wave's 20 ms pieces: speech without its pauses."""
    pieces = wave[: len(wave) // 320 * 320].reshape(-1, 320)
    power = np.sort((pieces.astype(np.float64) ** 2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean())) if len(power) else 0.0


# ---- disturbances: each (samples, generator) -> noise of any level ------------------------------------------------


def coloured(count: int, rng: Generator) -> Wave:
    """White to brown noise, with a slow change of level."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequency = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 30)
    noise = np.fft.irfft(spectrum * frequency ** -rng.choice([0, 0, 0.5, 0.5, 1.0]), count)
    knots = 10 ** rng.normal(0, 0.12, 2 + count // 16000)
    return noise * np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(knots)), knots)


def hum(count: int, rng: Generator) -> Wave:
    """Mains or a fan: a low tone with harmonics over a little rumble."""
    time = np.arange(count) / SAMPLE_RATE
    base = rng.choice([50.0, 60.0, rng.uniform(80, 240)])
    tones = [
        rng.uniform(0.1, 1) / k * np.sin(2 * np.pi * base * k * time + rng.uniform(0, 6))
        for k in range(1, 12)
    ]
    rumble = coloured(count, rng)
    return np.sum(tones, axis=0) + 0.3 * rumble / max(rumble.std(), 1e-9)


def clicks(count: int, rng: Generator) -> Wave:
    """Keys, knocks and cutlery: short bursts of filtered noise."""
    noise = np.zeros(count)
    for _ in range(max(1, int(count / SAMPLE_RATE * rng.uniform(1, 6)))):
        length = int(SAMPLE_RATE * rng.uniform(0.01, 0.12))
        burst = rng.standard_normal(length) * np.exp(-np.arange(length) / (0.25 * length))
        centre = rng.uniform(0.03, 0.6)
        burst = sosfilt(butter(1, [centre, min(0.95, centre * 2)], "bandpass", output="sos"), burst)
        at = int(rng.integers(0, max(1, count - length)))
        noise[at : at + length] += (burst * rng.uniform(0.3, 1))[: count - at]
    return noise + 1e-3 * rng.standard_normal(count)


def music(count: int, rng: Generator) -> Wave:
    """A bed of chords, a bass, perhaps a tune, and perhaps drums."""
    time = np.arange(count) / SAMPLE_RATE
    beat = 60 / rng.uniform(70, 150)
    root, sound = rng.uniform(100, 240), np.zeros(count)
    richness, decay = rng.uniform(0.6, 2.0), rng.uniform(0.3, 3.0)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])

    def note(start: float, hold: float, hertz: float, level: float) -> None:
        first, last = int(start * SAMPLE_RATE), min(count, int((start + hold) * SAMPLE_RATE))
        if first >= last:
            return
        local = time[: last - first]
        envelope = np.exp(-local / decay) * np.minimum(1, local / 0.01)
        for k in range(1, 7):
            if hertz * k < 7500:
                sound[first:last] += (
                    level / k**richness * envelope * np.sin(2 * np.pi * hertz * k * local)
                )

    for bar in range(int(count / SAMPLE_RATE / (4 * beat)) + 1):
        degree = int(rng.choice([0, 3, 4, 5, 1]))
        steps = [scale[(degree + k) % 7] + 12 * ((degree + k) // 7) for k in (0, 2, 4)]
        for semitone in steps:
            note(bar * 4 * beat, 4 * beat, root * 2 ** (semitone / 12), 1.0)
        note(bar * 4 * beat, 4 * beat, root / 2 * 2 ** (steps[0] / 12), 1.5)
        for quarter in np.flatnonzero(rng.random(8) < 0.5):
            pitch = 2 * root * 2 ** (rng.choice(scale) / 12)
            note((bar * 4 + quarter / 2) * beat, beat / 2, pitch, 0.8)
    if rng.random() < 0.6:
        for stroke in range(int(count / SAMPLE_RATE / beat * 2) + 1):
            first = int(stroke * beat / 2 * SAMPLE_RATE)
            length = min(1600, count - first)
            if length > 0:
                ramp = np.exp(-np.arange(length) / 400)
                kick = np.sin(2 * np.pi * 60 * time[:length]) * 3 if stroke % 4 == 0 else 0
                sound[first : first + length] += ramp * (kick + rng.standard_normal(length) * 0.8)
    return sound


def babble_of(voices: Callable[[], Wave]) -> Callable[[int, Generator], Wave]:
    """Two to eight other people at once."""

    def babble(count: int, rng: Generator) -> Wave:
        total = np.zeros(count)
        for _ in range(int(rng.integers(2, 9))):
            voice = np.resize(np.roll(voices(), int(rng.integers(0, 16000))), count)
            total += voice / max(speech_level(voice), 1e-6) * rng.uniform(0.4, 1)
        return total

    return babble


def mixed(speech: Wave, noise: Wave, decibels: float) -> Wave:
    """Speech with noise at a ratio to its loud half."""
    gain = speech_level(speech) / max(float(np.sqrt((noise**2).mean())), 1e-9)
    return speech + noise * gain * 10 ** (-decibels / 20)


# ---- ways: each (wave, generator) -> wave of the same length, not shifted -----------------------------------------


def room(
    wave: Wave,
    rng: Generator,
    seconds: tuple[float, float] = (0.15, 1.0),
    direct: tuple[float, float] = (-2.0, 12.0),
) -> Wave:
    """Early reflections and a tail; the direct sound stays where it is.

    Args:
        wave: (n,) dry sound.
        rng: source of all randomness.
        seconds: range of the time in which the tail decays by 60 dB.
        direct: range of the direct sound's level over the reverberation, in dB.

    Returns:
        (n,) sound in the room.
    """
    decay = float(np.exp(rng.uniform(*np.log(seconds))))
    time = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / decay)
    tail[: int(0.004 * SAMPLE_RATE)] = 0
    damped = sosfilt(butter(1, rng.uniform(0.2, 0.9), output="sos"), tail)
    response = damped / max(float(np.sqrt((damped**2).sum())), 1e-9)
    for _ in range(int(rng.integers(2, 7))):
        response[int(rng.uniform(0.001, min(0.03, decay)) * SAMPLE_RATE)] += rng.uniform(-0.4, 0.4)
    response *= 10 ** (-rng.uniform(*direct) / 20)  # direct to reverberant
    response[0] += 1
    return fftconvolve(wave, response)[: len(wave)]


def telephone(wave: Wave, rng: Generator) -> Wave:
    """300 to 3400 Hz or so; mu-law in three of four."""
    low, high = rng.uniform(150, 350), rng.uniform(2900, 3800)
    band = butter(4, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    narrow = sosfilt(band, wave)
    if rng.random() < 0.75:
        peak = max(float(np.abs(narrow).max()), 1e-6)
        coded = np.sign(narrow) * np.log1p(255 * np.abs(narrow) / peak) / np.log(256)
        coded = np.round(coded * 127) / 127
        narrow = np.sign(coded) * (256 ** np.abs(coded) - 1) / 255 * peak
    return narrow


def overdriven(wave: Wave, rng: Generator) -> Wave:
    """Clipped at a share of its peak."""
    limit = float(np.abs(wave).max()) * rng.uniform(0.1, 0.6)
    return np.clip(wave, -limit, limit)


def resampled(wave: Wave, rng: Generator) -> Wave:
    """Through a lower sampling rate, 6 to 12 kHz."""
    rate = int(rng.choice([6, 8, 8, 11, 12]))
    return resample_poly(resample_poly(wave, rate, 16), 16, rate)[: len(wave)]


def coded(wave: Wave, rng: Generator) -> Wave:
    """A round trip through Opus, MP3 or AAC at a low bit rate, put back in time by correlation."""
    codec, container, rates = [
        ("libopus", "ogg", (6, 8, 12, 16)),
        ("libmp3lame", "mp3", (16, 24, 32)),
        ("aac", "adts", (16, 24, 32)),
    ][int(rng.integers(0, 3))]
    raw = ["-f", "s16le", "-ar", str(SAMPLE_RATE), "-ac", "1"]
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    peak = max(float(np.abs(wave).max()), 1e-6)
    sent = (wave / peak * 30000).astype(np.int16).tobytes()
    options = ["-c:a", codec, "-b:a", f"{rng.choice(rates)}k", "-f", container]
    encode = [*tool, *raw, "-i", "-", *options, "-"]
    packed = subprocess.run(encode, input=sent, capture_output=True, check=True).stdout
    decode = [*tool, "-f", container.replace("adts", "aac"), "-i", "-", *raw, "-"]
    out = subprocess.run(decode, input=packed, capture_output=True, check=True).stdout
    back = np.frombuffer(out, np.int16).astype(np.float32) / 30000 * peak
    size = len(wave) + 8192
    cross = np.fft.irfft(np.fft.rfft(back[:size], 2 * size) * np.conj(np.fft.rfft(wave, 2 * size)))
    delay = int(np.argmax(cross[:4096]))
    back = back[delay : delay + len(wave)]
    return np.pad(back, (0, len(wave) - len(back)))


def at_some_level(wave: Wave, rng: Generator) -> Wave:
    """float32, at a peak between -45 and -3 dB of full scale."""
    peak = max(float(np.abs(wave).max()), 1e-6)
    return (wave / peak * 10 ** (-rng.uniform(3, 35) / 20)).astype(np.float32)


def crowded(wave: Wave, rng: Generator, voices: Callable[[], Wave]) -> Wave:
    """As `spoiled`, by what one person's speech is hardest to follow through: other voices, a hall, or both."""
    result = wave.astype(np.float64)
    draw = rng.random()
    if draw < 0.55:
        result = room(result, rng, seconds=(0.35, 0.9), direct=(-2, 4))
    if draw > 0.4:
        result = mixed(result, babble_of(voices)(len(wave), rng), rng.uniform(4, 16))
    return at_some_level(result, rng)


def spoiled(wave: Wave, rng: Generator, voices: Callable[[], Wave]) -> Wave:
    """One or several faults in the order in which they happen: room, noise, microphone, line.

    Args:
        wave: (n,) clean speech.
        rng: source of all randomness.
        voices: draws waves of other speech.

    Returns:
        (n,) float32, at a level as of `at_some_level`.
    """
    result = wave.astype(np.float64)
    if rng.random() < 0.4:
        result = room(result, rng)
    if rng.random() < 0.8:
        sources: Sequence[Callable[[int, Generator], Wave]] = [
            coloured, babble_of(voices), music, hum, clicks,
        ]  # fmt: skip
        for _ in range(1 + (rng.random() < 0.15)):
            source = sources[rng.choice(5, p=[0.27, 0.3, 0.25, 0.08, 0.1])]
            result = mixed(result, source(len(wave), rng), rng.uniform(3, 22))
    ways = [(overdriven, 0.1), (resampled, 0.07), (telephone, 0.12), (coded, 0.06)]
    for way, share in ways:
        if rng.random() < share:
            result = way(result, rng)
    return at_some_level(result, rng)
