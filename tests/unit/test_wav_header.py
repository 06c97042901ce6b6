"""Headers of wav files as they come through a pipe."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.wav_header import MAX_HEADER, is_complete, parse_wav

SAMPLES = np.linspace(-0.5, 0.5, 800).astype(np.float32)


def make_wav(subtype: str = "PCM_16", channels: int = 1, container: str = "WAV") -> bytes:
    buffer = io.BytesIO()
    data = np.repeat(SAMPLES[:, None], channels, 1)
    soundfile.write(buffer, data, 8000, subtype=subtype, format=container)
    return buffer.getvalue()


@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize(
    ("subtype", "samples", "size"),
    [
        ("PCM_U8", "u8", 1),
        ("PCM_16", "s16le", 2),
        ("PCM_24", "s24le", 3),
        ("PCM_32", "s32le", 4),
        ("FLOAT", "f32le", 4),
        ("DOUBLE", "f64le", 8),
        ("ULAW", "mulaw", 1),
        ("ALAW", "alaw", 1),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_plain_kinds(subtype: str, samples: str, size: int, channels: int, container: str) -> None:
    data = make_wav(subtype, channels, container)
    header = parse_wav(data)
    assert header is not None
    assert (header.samples, header.sample_rate, header.channels) == (samples, 8000, channels)
    assert header.codec == f"pcm_{samples}"
    assert header.seconds == pytest.approx(0.1)
    assert header.num_bytes == 800 * size * channels
    assert header.frame_bytes == size * channels
    assert data[header.offset - 8 : header.offset - 4] == b"data"


@given(st.integers(0, 43))
def test_a_header_is_waited_for(length: int) -> None:
    data = make_wav()
    assert parse_wav(data[:length]) is None
    assert not is_complete(data[:length])
    assert is_complete(data[:44])
    assert parse_wav(data[:44]) == parse_wav(data)


def with_size(data: bytes, size: int) -> bytes:
    return data[:40] + struct.pack("<I", size) + data[44:]


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0xFFFF_FFFF])
def test_unknown_lengths(size: int) -> None:
    header = parse_wav(with_size(make_wav(), size))
    assert header is not None
    assert header.num_bytes is None
    assert header.seconds is None


def test_chunks_before_the_samples_are_passed_over() -> None:
    data = make_wav()
    junk = b"LIST" + struct.pack("<I", 5) + b"abcde\0"
    header = parse_wav(data[:12] + junk + data[12:])
    assert header is not None
    assert header.offset == 44 + len(junk)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"ID3\x04 and so on",
        b"OggS",
        b"RIFF\0\0\0\0AVI LIST",
        make_wav(channels=3),
        make_wav("IMA_ADPCM"),
        make_wav()[:34] + struct.pack("<H", 12) + make_wav()[36:],
    ],
    ids=["nothing", "mp3", "ogg", "avi", "three channels", "adpcm", "odd bits"],
)
def test_other_files_are_left_to_ffmpeg(data: bytes) -> None:
    assert parse_wav(data) is None
    assert is_complete(data) or not data


def test_a_header_that_never_ends_is_given_up() -> None:
    data = b"RIFF\0\0\0\0WAVEJUNK" + struct.pack("<I", 10 * MAX_HEADER) + bytes(MAX_HEADER)
    assert is_complete(data)
    assert parse_wav(data) is None


def test_example(speech_wav: Path) -> None:
    header = parse_wav(speech_wav.read_bytes())
    assert header is not None
    assert header.seconds == pytest.approx(8.635, abs=0.001)
