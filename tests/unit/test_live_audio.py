"""Sound that is decoded while it arrives: the same samples as from a file, before the end, never too far ahead."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

from talkhead_cli import ffmpeg_binary
from talkhead_cli.audio import decode_blocks
from talkhead_cli.backlog import Backlog
from talkhead_cli.errors import AudioError, MediaError
from talkhead_cli.live_audio import LiveSound
from tests.conftest import run_ffmpeg

NAME = "standard input"


class Sender(threading.Thread):
    """Writes bytes into a pipe, as far as somebody takes them."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data
        self.sent = 0
        self.source, self.target = os.pipe()

    def run(self) -> None:
        view = memoryview(self.data)
        with suppress(BrokenPipeError):
            while view:
                count = os.write(self.target, view[: 1 << 16])
                self.sent += count
                view = view[count:]
        os.close(self.target)


@contextmanager
def sending(data: bytes, max_seconds: float = 600.0) -> Iterator[tuple[LiveSound, Sender]]:
    sender = Sender(data)
    sender.start()
    try:
        with LiveSound(sender.source, NAME, max_seconds) as sound:
            yield sound, sender
    finally:
        os.close(sender.source)
        sender.join()


def hear(data: bytes, max_seconds: float = 600.0) -> np.ndarray:
    with sending(data, max_seconds) as (sound, _):
        return np.concatenate(list(sound.blocks()))


def make_sound(path: Path, seconds: float = 1.23, rate: int = 16000, channels: int = 1) -> Path:
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.uniform(-0.5, 0.5, (round(seconds * rate), channels)), rate)
    return path


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return make_sound(tmp_path / "speech.wav")


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("a.wav", 16000, 1), ("a.wav", 44100, 2), ("a.wav", 16000, 3), ("a.flac", 22050, 1)],
)
def test_same_samples_as_from_a_file(name: str, rate: int, channels: int, tmp_path: Path) -> None:
    path = make_sound(tmp_path / name, rate=rate, channels=channels)
    whole = np.concatenate(list(decode_blocks(path)))
    with sending(path.read_bytes()) as (sound, _):
        header = sound.header()
        assert (header.sample_rate, header.channels) == (rate, channels)
        blocks = list(sound.blocks())
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert {len(block) for block in blocks[:-1]} == {rate // 10}
    with LiveSound(path, str(path), 600) as sound:
        assert not sound.is_piped
        np.testing.assert_array_equal(np.concatenate(list(sound.blocks())), whole)


def test_sound_is_heard_before_it_has_ended(wav: Path) -> None:
    data = wav.read_bytes()
    source, target = os.pipe()
    watchdog = threading.Timer(60, os.close, [target])
    watchdog.start()
    with LiveSound(source, NAME, 600) as sound:
        os.write(target, data[: 44 + 32 * 600])
        blocks = sound.blocks()
        assert sum(len(next(blocks)) for _ in range(2)) == 3200
        watchdog.cancel()
        os.write(target, data[44 + 32 * 600 :])
        os.close(target)
        assert sum(map(len, blocks)) == round(1.23 * 16000) - 3200
    os.close(source)


def test_reading_ahead_has_a_limit() -> None:
    wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\0\0\0"
    with sending(wav + bytes(32000 * 200)) as (sound, sender):
        next(sound.blocks())
        before = -1
        while sender.sent != before:
            before = sender.sent
            time.sleep(0.5)
        assert sender.is_alive()
    assert sender.sent < 32000 * 40


def test_leaving_early_ends_every_thread(wav: Path) -> None:
    source, target = os.pipe()
    os.write(target, wav.read_bytes()[:8000])
    with pytest.raises(KeyboardInterrupt), LiveSound(source, NAME, 600) as sound:
        next(sound.blocks())
        sound.piped()
        raise KeyboardInterrupt
    assert [t.name for t in threading.enumerate() if t.name == "talkhead-sound"] == []
    os.write(target, b"left alone")
    assert os.read(source, 100) == b"left alone"
    os.close(source)
    os.close(target)


def test_bare_samples_are_handed_on(wav: Path) -> None:
    data = wav.read_bytes()
    trailer = b"LIST\4\0\0\0abcd" * 20000
    with sending(data + trailer) as (sound, sender):
        piped = sound.piped()
        assert piped.options["f"] == "s16le"
        assert (piped.codec, piped.sample_rate) == ("pcm_s16le", 16000)
        with os.fdopen(os.dup(piped.descriptor), "rb") as handed_on:
            sound.let_go()
            assert sum(map(len, sound.blocks())) == (len(data) - 44) // 2
            assert handed_on.read() == data[44:]
        sender.join()
    assert sender.sent == len(data) + len(trailer)


def test_a_compressed_file_is_handed_on_as_it_is(tmp_path: Path) -> None:
    data = make_sound(tmp_path / "a.flac").read_bytes()
    with sending(data) as (sound, _):
        piped = sound.piped()
        with os.fdopen(os.dup(piped.descriptor), "rb") as handed_on:
            sound.let_go()
            assert handed_on.read() == data
        assert piped.codec == "flac"


def cut_off(wav: Path) -> bytes:
    return wav.read_bytes()[:10000]


def too_short(wav: Path) -> bytes:
    return make_sound(wav, 0.1).read_bytes()


def not_a_number(wav: Path) -> bytes:
    soundfile.write(wav, np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    return wav.read_bytes()


def index_at_the_end(wav: Path) -> bytes:
    run_ffmpeg("-i", make_sound(wav, 20, 48000), "-c:a", "aac", wav.with_suffix(".m4a"))
    return wav.with_suffix(".m4a").read_bytes()


def silent_film(wav: Path) -> bytes:
    run_ffmpeg("-f", "lavfi", "-i", "color=s=128x128:d=1", "-f", "mpegts", wav.with_suffix(".ts"))
    return wav.with_suffix(".ts").read_bytes()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda wav: b"", "standard input is empty"),
        (lambda wav: b"This is not a recording.\n" * 50, "not a recording"),
        (lambda wav: wav.read_bytes()[:20], "not a recording"),
        (lambda wav: wav.read_bytes()[:44], "no sound could be decoded"),
        (cut_off, "cut off or damaged: 0.3 of 1.2 seconds"),
        (too_short, "at least 0.2"),
        (not_a_number, "only NaN"),
        (silent_film, "no sound that can be decoded"),
        (index_at_the_end, "--no-stream"),
    ],
)
def test_what_cannot_be_used(make: Callable[[Path], bytes], words: str, wav: Path) -> None:
    with pytest.raises(AudioError, match=words) as caught:
        hear(make(wav))
    assert str(caught.value).startswith(NAME)


def test_the_limit_holds(wav: Path) -> None:
    with pytest.raises(AudioError, match="longer than the 1 seconds allowed; raise --max-seconds"):
        hear(make_sound(wav, 3).read_bytes(), max_seconds=1)


def test_no_ffmpeg(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKHEAD_FFMPEG", "/nowhere/ffmpeg")
    ffmpeg_binary.ffmpeg_path.cache_clear()
    try:
        with pytest.raises(MediaError, match="/nowhere/ffmpeg"):
            hear(make_sound(wav, channels=2).read_bytes())
    finally:
        ffmpeg_binary.ffmpeg_path.cache_clear()


def test_backlog_keeps_order_and_can_be_given_up() -> None:
    backlog = Backlog()
    for data in (b"a", b"b", b"c"):
        backlog.put(data)
    assert [backlog.get(), backlog.get()] == [b"a", b"b"]
    backlog.abandon()
    backlog.put(b"d")
    assert backlog.get() is None
    ended = Backlog()
    ended.put(b"a")
    ended.end()
    ended.put(b"b")
    assert [ended.get(), ended.get()] == [b"a", None]
