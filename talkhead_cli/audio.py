"""Speech in: any file ffmpeg decodes, as blocks of waveform and as speech features, in constant memory.

The audio that is delivered with the video is never touched here; this is what the lips are made from.
"""

from __future__ import annotations

import logging
import re
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from talkhead_cli.errors import AudioError
from talkhead_cli.levels import AudioInfo as AudioInfo
from talkhead_cli.levels import LevelMeter
from talkhead_cli.mel import HOP, LEFT, SAMPLE_RATE, WINDOW, Array, framed_log_mel, num_mel_frames
from talkhead_cli.mel import log_mel as log_mel
from talkhead_cli.paths import check_regular
from talkhead_cli.reading import (
    HEADER_SECONDS,
    REFUSED,
    Stalled,
    describe_file,
    duration_of,
    patient,
    reading_command,
)
from talkhead_cli.watchdog import Watch, end_process, read_output, start_ffmpeg
from talkhead_cli.wav_header import FASTEST_RATE, LARGEST_RIFF, SLOWEST_RATE

if TYPE_CHECKING:
    from talkhead_models.lip_audio import LipAudioEncoder
    from talkhead_models.live import EarPlan
    from talkhead_models.speech import SpeechEncoder, SpeechFeatures

log = logging.getLogger(__name__)

MIN_SECONDS = 0.2
BLOCK_SECONDS = 5
SAMPLES_PER_FRAME = SAMPLE_RATE // 25
CUT_OFF_SECONDS = 0.5
"""A file that holds this much less than its header promises has been cut off."""

LONGEST_SECONDS = 86_400.0
"""Of any recording, whatever is asked for: a small file may unfold to years of silence."""

LENGTH_TOLERANCE = 1.0
"""Seconds over the limit that are let pass: headers and encoder padding round."""


@dataclass(frozen=True)
class AudioStream:
    """What ffmpeg says of a file's first audio stream; seconds are None where the header does not say."""

    codec: str
    sample_rate: int
    channels: int
    declared_seconds: float | None = None


MOST_CHANNELS = 64
"""Channels that ffmpeg can mix."""

LAYOUTS = {"mono": 1, "stereo": 2, "2.1": 3, "3.0": 3, "4.0": 4, "quad": 4, "5.0": 5, "5.1": 6}
LAYOUTS |= {"6.1": 7, "7.1": 8, "downmix": 2}


def read_header(path: Path) -> AudioStream:
    """The first audio stream of a file.

    Raises:
        AudioError: there is no such file, it is empty, or it has no audio.
        MediaError: ffmpeg is missing, failed or hung.
    """
    check_file(path)
    text = describe_file(path)
    if not text:
        raise AudioError(
            f"{path}: its header takes longer than {HEADER_SECONDS} seconds to read; export it again"
        )
    stream = parse_header(path, text)
    return replace(stream, declared_seconds=declared_length(path, text))


def parse_header(name: Path | str, text: str) -> AudioStream:
    """The first audio stream of an input, from what ffmpeg prints about it; without its length.

    Raises:
        AudioError: it has no audio.
    """
    audio = re.search(r"^\s+Stream #0:.*?: Audio: (\w+)(.*)$", text, re.MULTILINE)
    rate = re.search(r", (\d+) Hz, ([^,\n]+)", audio.group(2)) if audio else None
    if audio is None or rate is None:
        if REFUSED in text:
            raise AudioError(f"{name} is of a format that is not opened: convert it to wav")
        if re.search(r"^\s+Stream #0:", text, re.MULTILINE):
            raise AudioError(f"{name} has no sound that can be decoded: give a recording of speech")
        raise AudioError(f"{name} is not a recording ffmpeg can decode: give a wav, mp3, m4a, ...")
    layout = rate.group(2).strip().split("(")[0].strip()
    counted = re.match(r"(\d+) channels", rate.group(2).strip())
    channels = int(counted.group(1)) if counted else LAYOUTS.get(layout, 2)
    if not SLOWEST_RATE <= int(rate.group(1)) <= FASTEST_RATE or channels > MOST_CHANNELS:
        raise AudioError(
            f"{name} has {channels} channels at {rate.group(1)} Hz: "
            f"give at most {MOST_CHANNELS} at {SLOWEST_RATE} to {FASTEST_RATE} Hz"
        )
    return AudioStream(audio.group(1), int(rate.group(1)), channels)


def declared_length(path: Path, text: str) -> float | None:
    """Seconds of sound that a header promises; None where it does not say, or speaks of a film's picture.

    Args:
        path: the file.
        text: what ffmpeg prints about it.
    """
    seconds = duration_of(text)
    if seconds is None or re.search(r": Video: (?!.*\(attached pic\))", text):
        return None
    if "Estimating duration" not in text:
        return seconds
    with path.open("rb") as file:
        head = file.read(12)
    promised = int.from_bytes(head[4:8], "little") + 8
    if head[:4] != b"RIFF" or promised > LARGEST_RIFF:
        return None
    return seconds * promised / path.stat().st_size


def check_file(path: Path) -> None:
    """Insist on a file with something in it.

    Raises:
        AudioError: it is missing, a folder, unreadable or empty.
    """
    check_regular(path, AudioError)
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise AudioError(f"{path} is empty: give a recording of speech")
    except OSError as error:
        raise AudioError(f"{path} cannot be read ({error.strerror})") from error


def decode_blocks(path: Path | str, max_seconds: float | None = None) -> Iterator[Array]:
    """The first audio stream of a file, mixed to mono, at its native rate.

    Args:
        path: any file ffmpeg decodes.
        max_seconds: longest that is accepted.

    Yields:
        (n,) float32, about five seconds each, free of NaN; nominally in [-1, 1].

    Raises:
        AudioError: the file is empty, not audio, damaged, cut off, shorter than 0.2 s, longer than `max_seconds`, or
            holds no numbers at all.
        MediaError: ffmpeg is missing, failed or hung.
    """
    path = Path(path)
    yield from decode_stream(path, read_header(path), max_seconds)


def decode_stream(path: Path, stream: AudioStream, max_seconds: float | None) -> Iterator[Array]:
    """As `decode_blocks`, for a file whose header is known."""
    limit = LONGEST_SECONDS if max_seconds is None else min(max_seconds, LONGEST_SECONDS)
    check_declared(path, stream, limit)
    command = [*reading_command(path, "-v", "error"), "-map", "0:a:0", "-ac", "1"]
    command += ["-ar", str(stream.sample_rate), "-f", "f32le", "-"]
    with tempfile.TemporaryFile() as errors:
        blocks = run_decoder(command, BLOCK_SECONDS * stream.sample_rate, errors, path)
        try:
            num_samples = yield from check_blocks(path, stream, blocks, limit)
        except Stalled as error:
            raise AudioError(f"{path} cannot be decoded ({error}); export it again") from error
        errors.seek(0)
        said = errors.read().decode("utf-8", "replace").strip().splitlines()
    check_decoded(path, stream, num_samples, said)


def check_declared(name: Path | str, stream: AudioStream, max_seconds: float) -> None:
    """Refuse by the header alone what is far too long, before hours are decoded; headers may overestimate a little.

    Raises:
        AudioError: it is.
    """
    if (stream.declared_seconds or 0.0) > 2 * max_seconds:
        raise too_long(name, max_seconds)


def too_long(name: Path | str, max_seconds: float) -> AudioError:
    """What to say of a recording that is."""
    advice = "raise --max-seconds" if max_seconds != LONGEST_SECONDS else "cut it"
    return AudioError(f"{name} is longer than the {max_seconds:.0f} seconds allowed; {advice}")


def check_blocks(
    name: Path | str, stream: AudioStream, blocks: Iterator[Array], max_seconds: float | None
) -> Generator[Array, None, int]:
    """Blocks as they were decoded, what is not a number as silence; gives back how many samples there were.

    Raises:
        AudioError: there are no numbers at all, or more than `max_seconds` of them.
    """
    total = broken = 0
    limit = None if max_seconds is None else (max_seconds + LENGTH_TOLERANCE) * stream.sample_rate
    for block in blocks:
        bad = ~np.isfinite(block)
        total, broken = total + len(block), broken + int(bad.sum())
        if limit is not None and max_seconds is not None and total > limit:
            raise too_long(name, max_seconds)
        yield np.where(bad, np.float32(0), block)
    if broken and broken == total:
        raise AudioError(f"{name} holds no valid samples, only NaN: export it again")
    if broken:
        log.warning("%s: %d samples are not numbers and were taken as silence", name, broken)
    return total


def run_decoder(
    command: list[str], block_samples: int, errors: IO[bytes], name: object
) -> Iterator[Array]:
    """Blocks of 32-bit floats from a process that writes them to its standard output; ended when no longer read.

    Raises:
        MediaError: it cannot be run, was killed, or hung.
        Stalled: it is busy and gives nothing.
    """
    started = start_ffmpeg(command, subprocess.DEVNULL, subprocess.PIPE, errors, bufsize=0)
    with started as process, Watch(process) as watch:
        assert process.stdout is not None
        try:
            decoded = patient(process.stdout)
            for data in read_output(watch, decoded, block_samples * 4, name):
                yield np.frombuffer(data[: len(data) // 4 * 4], "<f4")
        finally:
            if process.poll() is None:
                end_process(process)


def check_decoded(path: Path | str, stream: AudioStream, num_samples: int, said: list[str]) -> None:
    """Insist that what was decoded is all there is.

    Raises:
        AudioError: nothing or too little came out, or much less than the header promised.
    """
    seconds = num_samples / stream.sample_rate
    if num_samples == 0:
        reason = f" ({said[-1]})" if said else ""
        raise AudioError(f"{path} is damaged: no sound could be decoded{reason}")
    if seconds < MIN_SECONDS:
        raise AudioError(f"{path} lasts {seconds:.2f} seconds: at least {MIN_SECONDS} are needed")
    declared = stream.declared_seconds
    if declared is not None and seconds < declared - max(CUT_OFF_SECONDS, 0.02 * declared):
        raise AudioError(
            f"{path} is cut off or damaged: {seconds:.1f} of {declared:.1f} seconds can be decoded"
        )


def resample_blocks(blocks: Iterator[Array], rate: int) -> Iterator[Array]:
    """Blocks at 16 kHz from blocks at another rate, with the same result whatever their sizes."""
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    for block in blocks:
        yield np.asarray(stream.resample_chunk(block), np.float32)
    yield np.asarray(stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)


def mel_blocks(blocks: Iterator[Array]) -> Iterator[tuple[Array, bool]]:
    """Log-mel of a stream of 16 kHz blocks, equal to `log_mel` of all of it.

    Yields:
        (n, 80) float32 mel frames, and whether they are the last.
    """
    tail = np.zeros(LEFT, np.float32)
    samples = frames = 0
    for block in blocks:
        samples += len(block)
        tail = np.concatenate([tail, block])
        mel = framed_log_mel(tail)
        frames += len(mel)
        tail = tail[len(mel) * HOP :]
        yield mel, False
    missing = num_mel_frames(samples) - frames
    padded = np.zeros(max(0, missing * HOP + WINDOW - HOP), np.float32)
    kept = tail[: len(padded)]
    padded[: len(kept)] = kept
    yield framed_log_mel(padded)[:missing], True


def features_of(
    blocks: Iterator[Array], encoder: SpeechEncoder, lip_encoder: LipAudioEncoder | None = None
) -> Iterator[Array]:
    """Speech features of a stream of 16 kHz blocks, at 50/s, settled 400 ms later.

    Args:
        blocks: (n,) float32, of any sizes.
        encoder: from `talkhead_models.speech.load_speech_encoder`.
        lip_encoder: from `talkhead_models.lip_audio.load_lip_audio`, for features of every kind.

    Yields:
        (n, 20) float32, or (n, 56) with a `lip_encoder`.
    """
    from talkhead_cli.loudness import FeatureStream, mel_energy
    from talkhead_models.lip_audio import WideStream
    from talkhead_models.speech import encode_block, start_stream
    from talkhead_models.threads import one_thread

    state, stream = start_stream(), FeatureStream()
    wide = WideStream(lip_encoder) if lip_encoder is not None else None
    energies = np.zeros(0, np.float32)
    odd = np.zeros((0, 80), np.float32)

    def with_wide(features: Array) -> Array:
        if wide is None:
            return features
        return np.concatenate([features, wide.take(len(features))], axis=1)

    for mel, final in mel_blocks(blocks):
        with one_thread():
            visemes, prosody, state = encode_block(encoder, state, mel, final)
            if wide is not None:
                wide.push(mel, final)
        pairs = np.concatenate([odd, mel])
        whole = len(pairs) // 2 * 2
        energies, odd = np.concatenate([energies, mel_energy(pairs[:whole])]), pairs[whole:]
        yield with_wide(stream.push(visemes, prosody, energies[: len(visemes)]))
        energies = energies[len(visemes) :]
    yield with_wide(stream.finish())


def extract_features(
    path: Path | str,
    encoder: SpeechEncoder,
    max_seconds: float = 600.0,
    lip_encoder: LipAudioEncoder | None = None,
    plan: EarPlan | None = None,
) -> SpeechFeatures:
    """Speech features of a recording; memory does not grow with its length but for the features themselves.

    Args:
        path: any file ffmpeg decodes.
        encoder: from `talkhead_models.speech.load_speech_encoder`.
        max_seconds: longest that is accepted.
        lip_encoder: from `talkhead_models.lip_audio.load_lip_audio`, for features of every kind, (L, 56).
        plan: when chunks are made of speech that is not settled; None waits until it is.

    Raises:
        AudioError: see `decode_blocks`.
        MediaError: ffmpeg is missing, failed or hung.
    """
    from talkhead_models.speech import SpeechFeatures

    path = Path(path)
    stream = read_header(path)
    samples = 0

    def counted() -> Iterator[Array]:
        nonlocal samples
        for block in decode_stream(path, stream, max_seconds):
            samples += len(block)
            yield block

    blocks = resample_blocks(counted(), stream.sample_rate)
    if plan is not None:
        from talkhead_cli.early import early_features

        array, views = early_features(blocks, encoder, plan, lip_encoder)
        return SpeechFeatures(array, samples / stream.sample_rate, views)
    array = np.concatenate(list(features_of(blocks, encoder, lip_encoder)))
    return SpeechFeatures(array, samples / stream.sample_rate)


def probe_audio(path: Path | str) -> AudioInfo:
    """Decode a recording and say what it is like; for the pre-flight report and before a render.

    Raises:
        AudioError: see `decode_blocks`; the length is not limited here.
        MediaError: ffmpeg is missing, failed or hung.
    """
    path = Path(path)
    stream = read_header(path)
    meter = LevelMeter(stream.sample_rate)
    for block in decode_stream(path, stream, None):
        meter.push(block)
    return meter.info(stream.channels, stream.codec)
