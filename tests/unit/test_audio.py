"""Decoding, log-mel and speech features: any input, any block size, clear errors."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from talkhead_cli.audio import (
    decode_blocks,
    extract_features,
    log_mel,
    mel_blocks,
    probe_audio,
    resample_blocks,
)
from talkhead_cli.errors import AudioError
from talkhead_cli.media import ffmpeg_path
from talkhead_cli.mel import mel_filters, num_mel_frames
from talkhead_models.speech import (
    FEATURE_SIZE,
    LOUDNESS,
    LOUDNESS_STEP,
    PITCH,
    VOICING,
    SpeechEncoder,
)

RATE = 16_000


def convert(source: Path, target: Path, *arguments: str) -> Path:
    command = [ffmpeg_path(), "-v", "error", "-y", "-i", str(source), *arguments, str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    torch.manual_seed(0)
    return SpeechEncoder().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds: a modulated tone between silences, stereo at 44.1 kHz."""
    rate = 44_100
    time = np.arange(3 * rate) / rate
    wave = 0.3 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * 3 * time)) / 2
    wave[: rate // 2] = wave[-rate // 2 :] = 0
    path = tmp_path_factory.mktemp("audio") / "tone.wav"
    soundfile.write(path, np.stack([wave, wave], axis=1), rate)
    return path


def decode(path: Path) -> np.ndarray:
    return np.concatenate(list(decode_blocks(path)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp3", ()),
        ("a.m4a", ()),
        ("a.ogg", ("-c:a", "libvorbis")),
        ("a.opus", ()),
        ("a.flac", ()),
        ("eight.wav", ("-ar", "8000", "-ac", "1")),
        ("high.wav", ("-ar", "96000")),
        ("surround.wav", ("-ac", "6")),
        ("-odd name: ü.wav", ()),
    ],
)
def test_formats(tone: Path, tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    path = tmp_path / name
    subprocess.run(
        [ffmpeg_path(), "-v", "error", "-i", str(tone), *options, f"file:{path}"], check=True
    )
    info = probe_audio(path)
    assert info.duration_seconds == pytest.approx(3.0, abs=0.12)
    assert -25 < info.loudness_dbfs < -8
    assert 0.2 < info.silence_share < 0.6
    assert info.channels == (6 if name.startswith("surround") else 1 if "eight" in name else 2)
    assert info.sample_rate in (8000, 44_100, 48_000, 96_000)


def test_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    path.write_text("This is not a recording.\n" * 50)
    with pytest.raises(AudioError, match=r"speech\.wav"):
        probe_audio(path)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp3"
    path.touch()
    with pytest.raises(AudioError, match="is empty"):
        probe_audio(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be read"):
        probe_audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="cannot be read"):
        probe_audio(tmp_path)


def test_random_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.m4a"
    path.write_bytes(np.random.default_rng(0).bytes(20_000))
    with pytest.raises(AudioError):
        probe_audio(path)


def test_header_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "header.wav"
    soundfile.write(path, np.zeros(0), RATE)
    with pytest.raises(AudioError):
        probe_audio(path)


def test_too_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, np.full(int(0.15 * RATE), 0.1), RATE)
    with pytest.raises(AudioError, match=r"lasts 0\.15 seconds"):
        probe_audio(path)


def test_video_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    source = ["-f", "lavfi", "-i", "color=size=64x64:duration=1"]
    subprocess.run([ffmpeg_path(), "-v", "error", *source, str(path)], check=True)
    with pytest.raises(AudioError, match="no sound"):
        probe_audio(path)


@pytest.mark.parametrize("name", ["cut.mp3", "cut.m4a", "cut.flac", "cut.wav"])
def test_cut_off_file_is_refused(tone: Path, tmp_path: Path, name: str) -> None:
    whole = convert(tone, tmp_path / f"whole{Path(name).suffix}")
    path = tmp_path / name
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(AudioError, match="cut"):
        probe_audio(path)


def test_stream_of_unknown_length_is_accepted(tone: Path, tmp_path: Path) -> None:
    """A wav written to a pipe has no length in its header."""
    command = [ffmpeg_path(), "-v", "error", "-i", str(tone), "-f", "wav", "-"]
    path = tmp_path / "piped.wav"
    path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    assert probe_audio(path).duration_seconds == pytest.approx(3.0, abs=0.01)


def test_too_long_is_refused_early(tone: Path, encoder: SpeechEncoder) -> None:
    with pytest.raises(AudioError, match="--max-seconds"):
        extract_features(tone, encoder, max_seconds=1.0)


def test_some_nan_become_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wave = np.full(RATE, 0.1, np.float32)
    wave[100:200] = np.nan
    wave[300] = np.inf
    path = tmp_path / "nan.wav"
    soundfile.write(path, wave, RATE, subtype="FLOAT")
    decoded = decode(path)
    assert np.isfinite(decoded).all()
    assert not decoded[100:200].any()
    assert "not numbers" in caplog.text


def test_all_nan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.full(RATE, np.nan, np.float32), RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="NaN"):
        decode(path)


def test_silence_rests(tmp_path: Path, encoder: SpeechEncoder) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(2 * RATE), RATE)
    features = extract_features(path, encoder)
    assert features.num_frames == 50
    assert (features.array[:, 0] == 1).all()
    assert not features.array[:, [LOUDNESS, LOUDNESS_STEP, VOICING, PITCH]].any()
    info = probe_audio(path)
    assert info.silence_share == 1
    assert any("silent" in warning for warning in info.warnings)


def test_features_cover_the_audio(tone: Path, encoder: SpeechEncoder) -> None:
    features = extract_features(tone, encoder)
    assert features.array.shape == (150, FEATURE_SIZE)
    assert features.array.dtype == np.float32
    assert features.duration_seconds == pytest.approx(3.0, abs=1e-3)
    assert np.isfinite(features.array).all()
    assert np.allclose(features.array[:, :16].sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("num_samples", [1, 280, 640, 641, 12_345])
def test_mel_blocks_equal_log_mel(num_samples: int) -> None:
    rng = np.random.default_rng(num_samples)
    wave = rng.normal(0, 0.1, num_samples).astype(np.float32)
    whole = log_mel(wave)
    assert whole.shape == (num_mel_frames(num_samples), 80)
    for size in (100, 1111, 20_000):
        blocks = (wave[start : start + size] for start in range(0, num_samples, size))
        parts = list(mel_blocks(blocks))
        assert [final for _, final in parts].count(True) == 1
        np.testing.assert_allclose(np.concatenate([mel for mel, _ in parts]), whole, atol=1e-5)


def test_mel_filters_are_librosas() -> None:
    import librosa

    wanted = librosa.filters.mel(sr=RATE, n_fft=512, n_mels=80, fmin=40.0, fmax=RATE / 2)
    np.testing.assert_allclose(mel_filters(), wanted, rtol=0, atol=1e-8)


def test_log_mel_refuses_stereo() -> None:
    with pytest.raises(ValueError, match="waveform"):
        log_mel(np.zeros((10, 2), np.float32))


def test_mel_frame_is_centred_on_its_hop() -> None:
    wave = np.zeros(RATE, np.float32)
    wave[50 * 160 + 80] = 1.0
    assert log_mel(wave).sum(1).argmax() == 50


@pytest.mark.parametrize("rate", [8000, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_length_and_pitch(rate: int) -> None:
    time = np.arange(2 * rate) / rate
    wave = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    blocks = (wave[start : start + 7777] for start in range(0, len(wave), 7777))
    result = np.concatenate(list(resample_blocks(blocks, rate)))
    assert abs(len(result) - 2 * RATE) <= 1
    spectrum = np.abs(np.fft.rfft(result[:RATE] * np.hanning(RATE)))
    assert spectrum.argmax() == 440
