"""Plain wav files are read without ffmpeg: what is found is what ffmpeg would have found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli.audio import decode_blocks
from talkhead_cli.batch import look
from talkhead_cli.batch.look import Look, look_for, plain_wav, wav_blocks


def write(path: Path, rate: int, channels: int, seconds: float, level: float) -> Path:
    """Noise that comes and goes."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(7).standard_normal((len(time), channels))
    wave = np.clip(level * noise * (np.sin(9 * time) > 0)[:, None], -1, 1)
    soundfile.write(path, wave, rate, subtype="PCM_16")
    return path


@settings(max_examples=12)
@given(
    rate=st.sampled_from([8000, 16000, 22050, 44100, 48000]),
    channels=st.integers(1, 2),
    seconds=st.floats(0.1, 1.5),
    level=st.sampled_from([0.0, 0.003, 0.3, 2.0]),
    kept=st.sampled_from([1.0, 0.95, 0.3]),
)
def test_a_wav_file_is_judged_as_ffmpeg_judges_it(
    tmp_path_factory: pytest.TempPathFactory,
    rate: int,
    channels: int,
    seconds: float,
    level: float,
    kept: float,
):
    path = write(tmp_path_factory.getbasetemp() / "plain.wav", rate, channels, seconds, level)
    path.write_bytes(path.read_bytes()[: round(kept * path.stat().st_size)])
    found = look_for("audio", Look(str(path), ("audio",), 600.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "plain_wav", lambda path: None)
        wanted = look_for("audio", Look(str(path), ("audio",), 600.0))
    if wanted.get("declared_seconds") is not None:
        assert found.pop("declared_seconds") == pytest.approx(
            wanted.pop("declared_seconds"), abs=0.011
        )
    assert found == wanted
    assert (plain_wav(path) is not None) == (kept == 1.0 and "problem" not in wanted)


@pytest.mark.parametrize("channels", [1, 2])
def test_its_samples_are_those_that_ffmpeg_gives(tmp_path: Path, channels: int):
    path = write(tmp_path / "plain.wav", 44100, channels, 2.0, 0.3)
    header = plain_wav(path)
    assert header is not None
    ours = np.concatenate(list(wav_blocks(path, header)))
    theirs = np.concatenate(list(decode_blocks(path)))
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_other_files_are_left_to_ffmpeg(tmp_path: Path):
    samples = np.zeros(8000, np.float32)
    for name, subtype in (("a.wav", "PCM_24"), ("b.wav", "FLOAT"), ("c.wav", "PCM_U8")):
        soundfile.write(tmp_path / name, samples, 16000, subtype=subtype)
        assert plain_wav(tmp_path / name) is None
    soundfile.write(tmp_path / "d.flac", samples, 16000)
    assert plain_wav(tmp_path / "d.flac") is None
    (tmp_path / "e.wav").write_text("RIFF and so on")
    assert plain_wav(tmp_path / "e.wav") is None
