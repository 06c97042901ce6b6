"""What the columns of the speech features are: visemes with prosody, pooled log-mel, and lip-informed numbers.

A generator's front end reads one or several kinds; `DenoiserConfig.speech_kinds` names them. In every kind but the
visemes zero means silence, so that `silent_features` is what a clip is padded with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talkhead_models.speech import FEATURE_SIZE, MELS_PER_STEP, NUM_MELS, WIDE_FEATURE_SIZE

Array = NDArray[np.float32]

VISEMES = slice(0, FEATURE_SIZE)
"""Viseme posteriors and prosody, see `SpeechFeatures`."""

MEL = slice(FEATURE_SIZE, FEATURE_SIZE + 20)
"""Log-mel pooled to 20 bands and 50/s, see `pool_mel`."""

LIPS = slice(MEL.stop, MEL.stop + 16)
"""What the lip-informed audio encoder gives, see `talkhead_models.lip_audio`."""

WIDE_SIZE = WIDE_FEATURE_SIZE
"""Width F of features that hold every kind."""

KINDS = {"visemes": VISEMES, "mel": MEL, "lips": LIPS}
"""Kind to its columns."""

MEL_FLOOR = -7.0
"""log10 mel power of digital silence."""

MEL_RANGE = 4.0
"""Decades above the floor that become 1: about the level of speech."""


def pool_mel(log_mel: Array) -> Array:
    """The "mel" columns.

    Args:
        log_mel: (2 m, 80) float32, log10 of mel power from -7 up, 100 frames a second.

    Returns:
        (m, 20) float32 at 50/s: means of four bands and two frames, 0 for digital silence, about 1 for speech.

    Raises:
        ValueError: the shape is another one.
    """
    if log_mel.ndim != 2 or log_mel.shape[1] != NUM_MELS or len(log_mel) % MELS_PER_STEP:
        raise ValueError(f"log_mel must be (even L2, {NUM_MELS}), got {log_mel.shape}")
    bands = MEL.stop - MEL.start
    pooled = log_mel.reshape(-1, MELS_PER_STEP, bands, NUM_MELS // bands).mean((1, 3))
    return np.asarray((pooled - MEL_FLOOR) / MEL_RANGE, np.float32)


def silent_features(num_steps: int, feature_size: int) -> Array:
    """Features of digital silence.

    Args:
        num_steps: L.
        feature_size: 20 or 56.

    Returns:
        (L, feature_size) float32: all zero but the posterior of silence.
    """
    features = np.zeros((num_steps, feature_size), np.float32)
    features[:, 0] = 1
    return features
