"""talkhead: talking-head videos from one portrait and one speech recording.

The five names of the Python interface; what else there is lives in `talkhead_cli` and `talkhead_models`, and may change
with any version. Importing this package loads nothing: each name comes with its first use. See docs/api.md.

Example:
    >>> import talkhead
    >>> settings = talkhead.RenderSettings.from_preset(seed=3, fps=30)
    >>> settings.preset, settings.seed, settings.crf
    ('talkhead', 3, 18)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from talkhead_cli import __version__

if TYPE_CHECKING:
    from talkhead_cli.api import render
    from talkhead_cli.face import Portrait
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.settings import RenderSettings
    from talkhead_models.motion import FaceMotion

__all__ = [
    "FaceMotion",
    "Portrait",
    "RenderSettings",
    "TalkingHeadPipeline",
    "__version__",
    "render",
]

HOMES = {
    "FaceMotion": "talkhead_models.motion",
    "Portrait": "talkhead_cli.face",
    "RenderSettings": "talkhead_cli.settings",
    "TalkingHeadPipeline": "talkhead_cli.pipeline",
    "render": "talkhead_cli.api",
}
"""Name to the module that it comes from."""


def __getattr__(name: str) -> Any:
    """Import a name with its first use; torch, which takes a second, comes with the pipeline alone."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
