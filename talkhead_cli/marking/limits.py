"""How much of a file is read when its marks are looked for, and what is raised where there is more."""

from __future__ import annotations

MAX_XMP_BYTES = 4 << 20
"""Editing programs write packets of some hundred kilobytes; ours have two."""

MAX_DEPTH = 64
MAX_ELEMENTS = 100_000
"""Of an XMP packet."""

MAX_BOXES = 1_000_000
"""Boxes of an MP4 file that are looked at: a live stream has two for every frame."""

MAX_TAG_BYTES = 16 << 20
"""Of all tags of a container, as ffmpeg prints them."""

MAX_SHOWN = 200
"""Characters of a file's own text that are shown."""

READ_SECONDS = 60.0
"""Longest time that ffmpeg may take to read a header."""


class MarkError(ValueError):
    """A mark is there but cannot be read; it never gets as far as a user."""
