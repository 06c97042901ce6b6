"""The speech encoder that every command shares."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from talkhead_cli.settings import RenderSettings
    from talkhead_models.lip_audio import LipAudioEncoder
    from talkhead_models.live import EarPlan
    from talkhead_models.speech import SpeechEncoder, SpeechFeatures

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


def hear(
    path: Path, settings: RenderSettings, lips: LipAudioEncoder | None, plan: EarPlan | None
) -> tuple[SpeechFeatures, int]:
    """Speech features of a whole recording, and the frames that it lasts at the settings' frame rate.

    Args:
        path: any file ffmpeg decodes.
        settings: of the render: device, frame rate, longest speech.
        lips: the second encoder, where the generator reads features of every kind.
        plan: when chunks are made of speech that is not settled; None waits until it is.

    Raises:
        TalkheadError: see `talkhead_cli.audio.extract_features`.
        BundleError: the encoder's bundle is missing or damaged.
    """
    from talkhead_cli.audio import extract_features
    from talkhead_cli.result import count_frames

    encoder = speech_encoder(settings.device)
    features = extract_features(path, encoder, settings.max_seconds, lips, plan)
    return features, count_frames(features.duration_seconds, settings.fps)
