"""The columns of a manifest, and what people call them."""

from __future__ import annotations

import difflib
import re

from talkhead_cli.settings import RenderSettings

FILE_COLUMNS = ("portrait", "audio", "drive", "style")
OUTPUT = "output"
NOT_IN_ROWS = frozenset({"device", "description"})
"""Keys of the settings that are no business of a row: devices are dealt out by the run."""

OPTION_COLUMNS = tuple(key for key in RenderSettings.model_fields if key not in NOT_IN_ROWS)
COLUMNS = (*FILE_COLUMNS, OUTPUT, *OPTION_COLUMNS)

CARRIED = frozenset({"id", "note", "notes", "consent_ref"})
CARRIED_PREFIXES = ("#", "x-", "x_")
"""Columns of the user's own, carried along unread."""

OTHER_NAMES = {
    **dict.fromkeys(("image", "picture", "photo", "img", "source", "source_image"), "portrait"),
    **dict.fromkeys(("wav", "voice", "speech", "sound", "recording", "driven_audio"), "audio"),
    **dict.fromkeys(("out", "result", "target", "video", "filename", "file"), "output"),
    **dict.fromkeys(("clip", "driving", "driving_video"), "drive"),
    **dict.fromkeys(("steps", "num_steps"), "num_inference_steps"),
    **dict.fromkeys(("framerate", "frame_rate"), "fps"),
    **dict.fromkeys(("codec",), "video_codec"),
    **dict.fromkeys(("resolution", "width", "height"), "size"),
}
"""What people call the columns; only to name the right one in a message."""

CONTROL, HALF = re.compile(r"[\x00-\x1f]"), re.compile(r"[\ud800-\udfff]")
"""What no path holds that a person meant to write."""

SHOWN = 40
"""Characters of a cell that a message quotes."""


def normalize(heading: str) -> str:
    """A column's name as the settings spell it."""
    return "_".join(heading.strip().lower().replace("-", " ").replace("_", " ").split())


def is_carried(heading: str) -> bool:
    """Whether a column is the user's own."""
    return normalize(heading) in CARRIED or heading.strip().lower().startswith(CARRIED_PREFIXES)


def unknown_column(heading: str) -> str:
    """What to say of a column that there is none of."""
    name = normalize(heading)
    if name == "device":
        return "rows choose no device; give --devices, and the run deals them out"
    shown = shorten(heading)
    close = OTHER_NAMES.get(name)
    if close is None:
        near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.6)
        close = near[0] if near else None
    if close is not None:
        return f"there is no column {shown!r}; did you mean {close!r}?"
    return (
        f"there is no column {shown!r}; columns are portrait, audio, output, drive, style and the names of "
        "render options, and your own begin with x-"
    )


def shorten(text: str) -> str:
    """Text that fits into a message."""
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def unfit_for_path(text: str) -> str | None:
    """Why no file can be called so, None where one can."""
    if CONTROL.search(text):
        return "the path holds a line break or a control character; remove it"
    if HALF.search(text):
        return "the path holds half a character; write it anew"
    return None
