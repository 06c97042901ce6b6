"""The arithmetic of the benchmarks of languages and of long clips, and of the synthesizer they use."""

from __future__ import annotations

import ctypes.util
import sys
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from talkhead_cli.face import Portrait
from talkhead_models.generator import GenerateOptions
from tests.conftest import ROOT, run_ffmpeg
from tests.networks.test_generator import make_features, make_generator

RATE = 16000


@pytest.fixture(autouse=True)
def scripts_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = list(sys.path)
    monkeypatch.syspath_prepend(str(ROOT / "models" / "training"))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield
    sys.path[:] = before


def tone(seconds: float, pitch: float = 200.0) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * pitch * times)).astype(np.float32)


# espeak-ng


def test_a_missing_synthesizer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import espeak

    monkeypatch.setattr(espeak, "LIBRARIES", ("libno-such-thing.so",))
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(espeak.EspeakError, match="install espeak-ng") as caught:
        espeak.Espeak()
    assert "\n" not in str(caught.value)


@pytest.mark.slow  # of those tests that may want more than talkhead's own dependencies: espeak-ng
def test_synthetic_phones_cover_their_sound() -> None:
    from espeak import Espeak, EspeakError

    engine = Espeak()
    spoken = engine.speak("de", "Mama, bitte.", 140)
    assert spoken is not None
    names = "".join(phone.name for phone in spoken.phones)
    assert names.startswith("mɑm")
    assert "b" in names
    assert all(a.end == b.start <= b.end for a, b in pairwise(spoken.phones))
    assert spoken.phones[-1].end == pytest.approx(len(spoken.wave) / RATE, abs=0.01)
    # Sound is where a vowel is said to be.
    vowel = next(phone for phone in spoken.phones if phone.name.startswith("ɑ"))
    inside = spoken.wave[int(vowel.start * RATE) : int(vowel.end * RATE)]
    assert np.abs(inside).mean() > 0.02
    assert spoken.segments[1][1] == (1,)
    with pytest.raises(EspeakError, match="no voice"):
        engine.speak("xx-nowhere", "a")
    # The library's own noise goes on from call to call; what is drawn does not.
    drawn = [engine.utterances("it", ["Ciao.", "Buona sera."], ["", "f5"], 3) for _ in range(2)]
    for first, second in zip(*(islice(many, 4) for many in drawn), strict=True):
        assert [p.name for p in first.phones] == [p.name for p in second.phones]
        assert len(first.wave) == pytest.approx(len(second.wave), rel=0.01)


# What is said


def test_script_of_ipa_phones() -> None:
    from espeak import Phone
    from spoken_sets import script_of_ipa

    times = [0, 0.4, 0.5, 0.7, 0.72, 0.8, 0.84, 1.0, 1.3, 1.6]
    names = ["", "mʲ", "ä", "", "t", "bʰ", "iː", "", ""]
    phones = [Phone(n, a, b) for n, (a, b) in zip(names, pairwise(times), strict=True)]
    script = script_of_ipa(phones)
    assert [item.label for item in script.closures] == ["mʲ", "bʰ"]
    assert [item.label for item in script.openings] == ["ä"]
    # Pauses beside each other are one; the hold of a stop is none.
    assert np.allclose(script.rests, [(0.12, 0.32), (1.12, 1.52)])
    wanted = script.wanted(np.array([0.2, 0.45, 0.6, 0.71, 0.76, 0.82, 0.9, 1.5]))
    assert wanted == pytest.approx([0, 0, 1, 1, 0.3, 0, 0.45, 0])


def test_pauses_of_a_recording_are_where_it_is_quiet() -> None:
    from spoken_sets import quiet_stretches

    noise = np.random.default_rng(0).normal(0, 1e-4, 4 * RATE).astype(np.float32)
    noise[: 2 * RATE] += tone(2.0)
    noise[3 * RATE :] += tone(1.0)
    assert np.allclose(quiet_stretches(noise), [(2.12, 2.92)], atol=0.011)
    assert quiet_stretches(tone(1.0)) == ()


# What becomes of the sound


@pytest.mark.parametrize("name", ["white", "babble", "music"])
def test_noise_has_the_level_that_it_says(name: str) -> None:
    from sound_conditions import conditions, level

    speech = np.concatenate([tone(1.0), np.zeros(RATE, np.float32), tone(1.0)])
    voices = [tone(0.5, pitch) for pitch in (130.0, 310.0)]
    condition = next(one for one in conditions(voices) if one.name.startswith(name))
    assert condition.noisy
    first = condition.apply(speech, np.random.default_rng(1))
    assert np.array_equal(first, condition.apply(speech, np.random.default_rng(1)))
    assert not np.array_equal(first, condition.apply(speech, np.random.default_rng(2)))
    # Where the speech pauses, the noise is alone.
    gain = np.vdot(first[:RATE], speech[:RATE]) / np.vdot(speech[:RATE], speech[:RATE])
    ratio = gain * level(speech) / level(first - gain * speech)
    assert 20 * np.log10(ratio) == pytest.approx(10, abs=1)


def test_every_condition_keeps_the_time() -> None:
    from sound_conditions import conditions

    click = np.zeros(RATE, np.float32)
    click[4000:4800] = np.random.default_rng(3).normal(0, 0.2, 800)
    for condition in conditions([tone(1.0)]):
        heard = condition.apply(click, np.random.default_rng(0))
        assert heard.shape == click.shape
        assert heard.dtype == np.float32
        spectrum = np.fft.rfft(heard, 2 * RATE) * np.conj(np.fft.rfft(click, 2 * RATE))
        shift = int(np.argmax(np.abs(np.fft.irfft(spectrum))))
        assert min(shift, 2 * RATE - shift) < 40, condition.name


# Tables


def test_shares_are_pooled_over_what_they_are_shares_of() -> None:
    from languages import Judged, losses, pooled
    from spoken_sets import Recording

    from talkhead_cli.evaluation.lips import LipMeasures

    recording = Recording("a", "", "", np.zeros(1, np.float32), None)
    judged = [
        Judged(recording, LipMeasures("phones", 3, 1.0, 0, None, 0.5, 0.6, 40.0, 0.1, 0.2)),
        Judged(recording, LipMeasures("phones", 1, 0.0, 2, 0.5, 0.7, 0.7, 0.0, None, 0.4)),
    ]
    row = pooled(judged)
    assert row["closures"] == 0.75
    assert row["openings"] == 0.5
    assert row["correlation"] == pytest.approx(0.6)
    assert row["rest"] == pytest.approx(0.1)
    assert row["counted"] == "4 / 2"
    rows = losses(judged, {"noise": judged[:1]})
    assert "loss" not in rows["clean"]
    assert rows["noise"]["loss"] == pytest.approx(1 - 0.5 / 0.6)


# Long clips


def test_repeated_speech_is_silent_in_its_pauses_and_nowhere_else() -> None:
    from long_motion import repeated, resting

    speech = repeated([tone(1.0), tone(0.5, 300.0)], 12.0)
    assert len(speech.wave) == 12 * RATE
    quiet = np.zeros(len(speech.wave), bool)
    for start, end in speech.pauses:
        quiet[round(start * RATE) : round(end * RATE)] = True
    assert np.abs(speech.wave[quiet]).max() == 0
    heard = np.abs(speech.wave[~quiet]).reshape(-1, 160).max(1)
    assert heard.min() > 0.1
    rest = resting(speech.pauses, 300)
    middles = ((np.arange(300) + 0.5) / 25 * RATE).astype(int)
    assert rest.any()
    assert quiet[middles[rest]].all()


def test_naive_chunks_know_nothing_of_each_other() -> None:
    from long_motion import NaiveChunks

    generator = make_generator()
    naive, options = NaiveChunks(generator), GenerateOptions(num_inference_steps=1)
    size = 2 * generator.frames_per_chunk
    features = make_features(3 * size)
    other = features.copy()
    other[:size] = make_features(size, seed=1)

    def made(heard: np.ndarray) -> np.ndarray:
        parts = naive.generate(heard, 0, options, naive.start(0))
        return np.concatenate([part.to_array() for part in parts])

    ours, theirs = made(features), made(other)
    whole = np.concatenate([m.to_array() for m in generator.generate(features, 0, options)])
    chunk = generator.frames_per_chunk
    assert ours.shape == whole.shape
    assert np.array_equal(ours[:chunk], whole[:chunk])
    assert not np.array_equal(ours[chunk:], whole[chunk:])
    assert not np.array_equal(ours[:chunk], theirs[:chunk])
    assert np.array_equal(ours[chunk:], theirs[chunk:])


def test_steps_are_laid_out_by_their_place_in_the_chunk() -> None:
    from long_motion import steps_by_position

    steps = np.ones(8 * 32)
    steps[32::32] = 3.0
    motion = np.cumsum(steps)[:, None] * np.ones(54)
    profile = steps_by_position(motion, 32, slice(0, 32))
    assert profile[0] / profile[1:] == pytest.approx(np.full(31, 3.0))


def test_minutes_are_cut_where_their_chunks_begin() -> None:
    from long_motion import LongMotion, LongSpeech, by_minute

    from talkhead_models.basis import FaceBasis

    rng = np.random.default_rng(0)
    motion = rng.normal(0, 0.01, (3000, 54)).astype(np.float32)
    # A jump at every boundary, there and back, so that it stays small.
    motion += (np.arange(3000) // 32 % 2)[:, None].astype(np.float32)
    speech = LongSpeech(np.zeros(1, np.float32), ((10.0, 20.0), (70.0, 80.0)))
    made = LongMotion(motion, (100.0, 101.0))
    rows = by_minute(made, speech, FaceBasis.load(), 32, None)
    assert [row["memory"] for row in rows] == [100.0, 101.0]
    assert all(row["boundary_face"] > 20 for row in rows)
    assert all(np.isfinite(list(row.values())).all() for row in rows)


def test_a_film_of_the_portrait_is_the_portrait(portrait: Portrait, tmp_path: Path) -> None:
    from long_pixels import Film, compare_film, write_strip

    still = tmp_path / "still.png"
    Image.fromarray(portrait.image).save(still)
    video = tmp_path / "film.mp4"
    # Its second second is darker.
    darker = ["-vf", "eq=brightness=-0.15:enable='gte(t,1)'", "-pix_fmt", "yuv420p", "-crf", 10]
    run_ffmpeg("-loop", 1, "-framerate", 25, "-t", 2, "-i", still, *darker, video)
    minutes, pictures = compare_film(Film(video, portrait.image, (1.0,)), 1.0)
    first, second = minutes
    assert first["likeness"] > 0.98
    assert first["sharpness"] == pytest.approx(1, abs=0.15)
    assert first["colour"] < 3
    assert second["colour"] > 20
    assert first["lost"] == second["lost"] == 0
    assert len(pictures) == 2
    write_strip(pictures, tmp_path / "sheets" / "strip.png")
    with Image.open(tmp_path / "sheets" / "strip.png") as sheet:
        assert sheet.size == (600, 318)
        assert np.array_equal(np.asarray(sheet)[:300, :300], pictures[0])
