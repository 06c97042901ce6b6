"""A visible label in the bottom left corner of every frame: light text on a dark, half-transparent box.

Pillow draws it once for a render, for not every ffmpeg can draw text; blending it in is a multiplication a pixel. The
font is DejaVu Sans, which comes with matplotlib; for scripts that it lacks, the first of the system's that has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import UsageError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Bytes = NDArray[np.uint8]

MAX_CHARACTERS = 80

TEXT_SHARE, LEAST_TEXT = 0.038, 11
"""Size of the text as a share of the shorter side, and in pixels at least."""

SHRUNK = 0.75
"""How far text is made smaller before it is broken into lines."""

MAX_LINES = 3
MARGIN_SHARE = 0.03
"""Distance from the edges, as a share of the shorter side."""

BOX_OPACITY = 0.62
TEXT_LEVEL = 250
"""Of 255."""

GREY = 128
"""Both chroma planes of whatever has no colour."""


def check_label(text: str) -> str:
    """A label as it will be shown, without space around it; "" is none.

    Raises:
        ValueError: too long, more than one line, or with characters that no font here has.
    """
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"a label has {MAX_CHARACTERS} characters at most, this one has {len(text)}"
        )
    if not text.isprintable():
        raise ValueError("a label is one line of printable characters")
    if text and not text.isascii():
        find_font(text)
    return text


@lru_cache(maxsize=16)
def find_font(text: str) -> Path:
    """The file of a font that has all characters of a text.

    Raises:
        ValueError: there is none.
    """
    import matplotlib
    from matplotlib.font_manager import findSystemFonts

    usual = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    missing = missing_in(usual, text)
    if not missing:
        return usual
    for name in sorted(findSystemFonts()):
        if not missing_in(Path(name), text):
            return Path(name)
    shown = "".join(sorted(missing))[:20]
    raise ValueError(f"no font has {shown!r}: install one, such as Noto Sans, or leave them out")


def missing_in(font: Path, text: str) -> set[str]:
    """Characters of a text that a font does not have; all of them where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        known = FT2Font(str(font)).get_charmap()
    except (OSError, RuntimeError):
        return set(text)
    return {character for character in text if ord(character) not in known}


@dataclass(frozen=True)
class Label:
    """A label for frames of one size.

    Attributes:
        corner: x and y of its first pixel in the frames, even.
        level: (h, w) float32 grey of 255; h and w are even.
        opacity: (h, w) float32 in [0, 1].
    """

    corner: tuple[int, int]
    level: NDArray[np.float32]
    opacity: NDArray[np.float32]

    @classmethod
    def create(cls, text: str, width: int, height: int) -> Label:
        """Draw a label.

        Args:
            text: what `check_label` has passed, not empty.
            width: of the frames, even.
            height: of the frames, even.

        Raises:
            UsageError: it does not fit.
        """
        from PIL import Image, ImageDraw

        short = min(width, height)
        margin = round(MARGIN_SHARE * short / 2) * 2
        size = max(LEAST_TEXT, round(TEXT_SHARE * short))
        # Space in the box: half a line at the sides, a third above and below.
        lines, font = fit_text(text, size, width - 2 * margin - size)
        if lines is None or (len(lines) + 1) * 1.3 * font.size > height - 2 * margin:
            raise UsageError(
                f"--label: {text!r} does not fit into {width}x{height} pixels; shorten it"
            )
        step = round(1.25 * font.size)
        wide = round(max(font.getlength(line) for line in lines) + font.size)
        high = round(step * len(lines) + 0.5 * font.size)
        wide, high = wide + wide % 2, high + high % 2
        box, ink = (Image.new("L", (wide, high)) for _ in range(2))
        corners = (0, 0, wide - 1, high - 1)
        ImageDraw.Draw(box).rounded_rectangle(corners, 0.3 * font.size, fill=255)
        pen = ImageDraw.Draw(ink)
        for index, line in enumerate(lines):
            middle = 0.25 * font.size + (index + 0.5) * step
            pen.text((0.5 * font.size, middle), line, 255, font, anchor="lm")
        text_share = np.asarray(ink, np.float32) / 255
        box_share = np.asarray(box, np.float32) / 255 * BOX_OPACITY
        opacity = text_share + box_share * (1 - text_share)
        level = TEXT_LEVEL * text_share / np.maximum(opacity, 1e-6)
        top = (height - margin - high) // 2 * 2
        return cls((margin, top), level.astype(np.float32), opacity.astype(np.float32))

    def draw(self, frames: Bytes) -> None:
        """Put the label on frames, in place.

        Args:
            frames: (n, H, W, 3) uint8 RGB, (n, H, W, 4) RGBA, or planes (n, 3 H / 2, W).
        """
        (left, top), (high, wide) = self.corner, self.level.shape
        if frames.ndim == 4:
            part = frames[:, top : top + high, left : left + wide]
            if part.shape[3] == 4:
                self._lay_over(part)
            else:
                blend(part, self.level[..., None], self.opacity[..., None])
            return
        rows, columns = frames.shape[1] * 2 // 3, frames.shape[2]
        # Limited range, as in `talkhead_models.planes`.
        luma = 16 + self.level * (219 / 255)
        blend(frames[:, top : top + high, left : left + wide], luma, self.opacity)
        halves = frames[:, rows:].reshape(len(frames), 2, rows // 2, columns // 2)
        share = self.opacity.reshape(high // 2, 2, wide // 2, 2).mean((1, 3))
        part = halves[:, :, top // 2 : (top + high) // 2, left // 2 : (left + wide) // 2]
        blend(part, np.full_like(share, GREY), share)

    def _lay_over(self, part: Bytes) -> None:
        """Put the label over RGBA pixels (n, h, w, 4) whose alpha is not multiplied in, in place."""
        opacity = self.opacity[..., None]
        below = part[..., 3:] * (1 - opacity)
        alpha = 255 * opacity + below
        colour = self.level[..., None] * opacity * 255 + part[..., :3] * below
        part[..., :3] = np.rint(colour / np.maximum(alpha, 1e-6))
        part[..., 3:] = np.rint(alpha)


def blend(part: Bytes, level: NDArray[np.float32], opacity: NDArray[np.float32]) -> None:
    """Move pixels towards a level by a share, in place."""
    part[...] = np.rint(part * (1 - opacity) + level * opacity)


def fit_text(text: str, size: int, room: float) -> tuple[list[str] | None, FreeTypeFont]:
    """A text in lines of at most so many pixels, and its font: smaller first, then in more lines.

    Returns:
        None for the lines where they would be more than `MAX_LINES`.
    """
    from PIL import ImageFont

    path = str(find_font(text))
    least = max(LEAST_TEXT, round(SHRUNK * size))
    for pixels in range(size, least - 1, -1):
        font = ImageFont.truetype(path, pixels)
        if font.getlength(text) <= room:
            return [text], font
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= room:
            lines[-1] = longer
            continue
        lines.append("")
        # A word that is longer than a line, or a script without spaces, is broken anywhere.
        for character in word:
            if lines[-1] and font.getlength(lines[-1] + character) > room:
                lines.append("")
            lines[-1] += character
    lines = [line for line in lines if line]
    return (lines if len(lines) <= MAX_LINES else None), font
