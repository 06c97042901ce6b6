"""The speech encoder that every command shares."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from talkhead_models.speech import SpeechEncoder

SPEECH_BUNDLE = "speech"


@lru_cache(maxsize=2)
def speech_encoder(device: str) -> SpeechEncoder:
    """The speech encoder on a device, loaded once a process.

    Raises:
        BundleError: its bundle is missing or damaged.
    """
    from talkhead_models.speech import load_speech_encoder

    return load_speech_encoder(SPEECH_BUNDLE, device)


def speech_hash() -> str:
    """sha256 of the speech encoder's bundle."""
    from talkhead_models.bundle import load_bundle

    return load_bundle(SPEECH_BUNDLE).sha256
