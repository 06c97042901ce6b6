"""The visible label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_cli.errors import UsageError
from talkhead_cli.finishing import Finish
from talkhead_cli.label import MAX_CHARACTERS, Label, check_label, find_font
from talkhead_cli.marking.record import Marks
from talkhead_cli.settings import RenderSettings, resolve_settings
from talkhead_models.planes import picture_of, planes_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * (MAX_CHARACTERS + 1), "80 characters at most, this one has 81"),
        ("two\nlines", "one line"),
        ("a\ttab", "one line"),
        ("bell\x07", "one line"),
        ("right\u202eto left", "one line"),
        ("\U000e0041 tag", "one line"),
        ("nothing has \ue123", "one line"),
        ("nor this: \U00013000", "no font has"),
    ],
)
def test_what_cannot_be_shown_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_label(text)
    with pytest.raises(UsageError, match=f"--label: .*{words}"):
        resolve_settings(None, {"label": text})


def test_labels_of_many_scripts() -> None:
    for text in ("AI-generated", "сгенерировано ИИ", "Δημιουργήθηκε", "Généré par l'IA — 2026"):
        assert RenderSettings(label=f"  {text} ").label == text
    assert find_font("Ω").name == "DejaVuSans.ttf"


@pytest.mark.parametrize("size", [(128, 128), (256, 256), (180, 320), (512, 512), (3840, 2160)])
def test_it_is_in_the_bottom_left_corner_at_every_size(size: tuple[int, int]) -> None:
    width, height = size
    label = Label.create("AI-generated", width, height)
    (left, top), (high, wide) = label.corner, label.level.shape
    assert left % 2 == top % 2 == high % 2 == wide % 2 == 0
    assert 0 < left < 0.1 * width
    assert 0.8 * height < top + high < height
    assert left + wide <= width - left
    assert high > 0.04 * min(size)


@pytest.mark.parametrize("behind", [0, 128, 255])
def test_it_can_be_read_before_anything(behind: int) -> None:
    frames = np.full((1, 512, 512, 3), behind, np.uint8)
    label = Label.create("AI", 512, 512)
    label.draw(frames)
    (left, top), (high, wide) = label.corner, label.level.shape
    part = frames[0, top : top + high, left : left + wide].astype(float)
    # WCAG asks for 4.5 between text and what is behind it; luminance by sRGB's curve, roughly.
    bright, dark = (float((part.max() if k else part[high // 2, 4].max()) / 255) for k in (1, 0))
    assert (bright**2.2 + 0.05) / (dark**2.2 + 0.05) > 4.5
    rest = frames.copy()
    rest[0, top : top + high, left : left + wide] = behind
    assert (rest == behind).all()


def test_long_labels_are_broken_into_lines_or_refused() -> None:
    wide = Label.create("AI-generated", 256, 256)
    broken = Label.create("AI-generated, the person shown has not said this", 256, 256)
    assert broken.level.shape[0] > 1.5 * wide.level.shape[0]
    with pytest.raises(UsageError, match="does not fit into 128x128 pixels"):
        Label.create("W" * MAX_CHARACTERS, 128, 128)


@settings(max_examples=8)
@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30),
    st.integers(64, 400).map(lambda half: 2 * half),
    st.integers(64, 400).map(lambda half: 2 * half),
)
def test_planes_show_what_pictures_show(text: str, width: int, height: int) -> None:
    try:
        label = Label.create(text, width, height)
    except UsageError:
        assert width < 200 or height < 200
        return
    picture = np.full((height, width, 3), (200, 120, 60), np.uint8)
    planes, rgb = np.stack([planes_of(picture)] * 2), np.stack([picture] * 2)
    label.draw(planes)
    label.draw(rgb)
    assert (planes[0] == planes[1]).all()
    difference = np.abs(picture_of(planes).astype(int) - rgb).mean((1, 2))
    assert difference.max() < 1.5


def test_over_transparency() -> None:
    frames = np.zeros((2, 256, 256, 4), np.uint8)
    frames[1] = (10, 20, 30, 255)
    label = Label.create("AI", 256, 256)
    solid = frames[1:, ..., :3].copy()
    label.draw(frames)
    label.draw(solid)
    assert (np.abs(frames[1, ..., :3].astype(int) - solid[0]) <= 1).all()
    assert (frames[1, ..., 3] == 255).all()
    (left, top), (high, wide) = label.corner, label.level.shape
    part = frames[0, top : top + high, left : left + wide]
    assert part[..., 3].max() == 255
    np.testing.assert_allclose(part[..., 3], 255 * label.opacity, atol=0.51)
    assert not frames[0, :top].any()


def test_finished_frames_are_their_own(astronaut: np.ndarray) -> None:
    marks = Marks(settings_sha256="ab" * 32)
    finish = Finish.create(astronaut, "AI-generated", marks)
    frames = np.stack([astronaut, astronaut[:, ::-1]])
    before = frames.copy()
    two = finish.apply(frames).copy()
    assert (frames == before).all()
    assert not (two[0] == frames[0]).all()
    # Frame by frame, in smaller batches, in larger ones: the same.
    assert (finish.apply(frames[:1])[0] == two[0]).all()
    assert (finish.apply(np.concatenate([frames, frames]))[2:] == two).all()


def test_nothing_asked_for_leaves_frames_alone(astronaut: np.ndarray) -> None:
    frames = astronaut[None]
    assert Finish.create(astronaut, "", None).apply(frames) is frames
