"""The lip-informed audio encoder: log-mel to 16 numbers at 50/s, learned together with lip motion.

A small stand-in for the AV-HuBERT features of SyncDiff (arXiv 2503.13371): the trunk of the speech encoder, trained so
that a stretch of sound and the lip motion of the same time are told from other times and other clips by a contrastive
loss (van den Oord et al., "Representation learning with contrastive predictive coding", arXiv 1807.03748). Digital
silence gives zero, and on speech the numbers are about one in size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from talkhead_models.bundle import load_bundle
from talkhead_models.speech import (
    MELS_PER_STEP,
    NUM_MELS,
    Array,
    SpeechConfig,
    SpeechTrunk,
    restore_encoder,
    settle_block,
    start_stream,
)
from talkhead_models.speech_kinds import LIPS, MEL, MEL_FLOOR, pool_mel

LIP_SIZE = LIPS.stop - LIPS.start
"""Numbers a step."""

LIP_AUDIO = "lip-audio"
"""Name of the bundle."""

LIP_CONFIG = SpeechConfig(dilations=(1, 1, 2, 2), lookaheads=(2, 2, 2, 2))
"""The speech encoder's first four blocks: 200 ms of look-ahead."""


class LipAudioEncoder(SpeechTrunk):
    """Log-mel to lip-informed numbers."""

    rest: Tensor
    spread: Tensor

    def __init__(self, config: SpeechConfig = LIP_CONFIG) -> None:
        super().__init__(config, LIP_SIZE)
        self.register_buffer("rest", torch.zeros(LIP_SIZE))
        self.register_buffer("spread", torch.ones(LIP_SIZE))

    def encode(self, log_mel: Tensor) -> Tensor:
        """(B, L2, 80) log10 mel power, L2 even, to (B, L2 / 2, 16).

        Raises:
            ValueError: the shape is another one.
        """
        return (super().encode(log_mel) - self.rest) / self.spread

    forward = encode

    @torch.no_grad()
    def calibrate(self, log_mel: Tensor) -> None:
        """Set the zero to digital silence, and the size of each number on this speech (B, L2, 80) to one."""
        training = self.training
        self.eval()
        self.rest.zero_()
        self.spread.fill_(1)
        steps = self.config.left_context + self.config.right_context + 1
        silence = torch.from_numpy(silent_mel(steps)).to(self.rest.device)[None]
        rest = self.encode(silence)[0, self.config.left_context]
        numbers = self.encode(log_mel).flatten(0, 1)
        self.spread.copy_(numbers.std(0).clamp_min(1e-4))
        self.rest.copy_(rest)
        self.train(training)


def load_lip_audio(
    name: str | Path = LIP_AUDIO, device: str | torch.device = "cpu"
) -> LipAudioEncoder:
    """The trained encoder, in evaluation mode and single precision.

    Args:
        name: a bundle's name or path.
        device: where to put it.

    Raises:
        BundleError: the bundle is missing, damaged or holds another network.
    """
    encoder = restore_encoder(LipAudioEncoder, load_bundle(name), "a lip-informed audio encoder")
    return encoder.to(device)


class WideStream:
    """The "mel" and "lips" columns of a stream, held until the other columns of the same steps are settled.

    It is the state of one clip: feed the blocks in order. Before and behind the clip the encoder hears digital silence,
    so that a clip that begins or ends in silence has zeros there.
    """

    def __init__(self, encoder: LipAudioEncoder) -> None:
        self._encoder = encoder
        self._state = start_stream()
        self._lead = encoder.config.left_context
        self._odd = np.zeros((0, NUM_MELS), np.float32)
        self._mel = np.zeros((0, MEL.stop - MEL.start), np.float32)
        self._lips = np.zeros((0, LIP_SIZE), np.float32)

    def push(self, log_mel: Array, final: bool = False) -> None:
        """Take the next mel frames (n, 80), any n; their total must be even when `final`."""
        pairs = np.concatenate([self._odd, log_mel])
        whole = len(pairs) // MELS_PER_STEP * MELS_PER_STEP
        self._mel = np.concatenate([self._mel, pool_mel(pairs[:whole])])
        self._odd = pairs[whole:]
        config = self._encoder.config
        before = config.left_context if not self._state.done and not len(self._state.tail) else 0
        behind = config.right_context if final else 0
        heard = np.concatenate([silent_mel(before), log_mel, silent_mel(behind)])
        lips, self._state = settle_block(self._encoder, self._state, heard, final)
        skipped = min(self._lead, len(lips))
        self._lead -= skipped
        self._lips = np.concatenate([self._lips, lips[skipped : len(lips) - behind]])

    def peek(self) -> Array:
        """All steps so far that were not taken, (n, 36) float32, the newest by what is known of them."""
        none = np.zeros((0, NUM_MELS), np.float32)
        lips, _ = settle_block(self._encoder, self._state, none, final=True)
        lips = np.concatenate([self._lips, lips[self._lead :]])
        return np.concatenate([self._mel[: len(lips)], lips], axis=1)

    def take(self, num_steps: int) -> Array:
        """The next steps, (num_steps, 36) float32.

        Raises:
            ValueError: fewer are settled.
        """
        if num_steps > len(self._lips):
            raise ValueError(f"{num_steps} steps asked for, {len(self._lips)} are settled")
        wide = np.concatenate([self._mel[:num_steps], self._lips[:num_steps]], axis=1)
        self._mel, self._lips = self._mel[num_steps:], self._lips[num_steps:]
        return wide


def silent_mel(num_steps: int) -> Array:
    """Log-mel of digital silence, (2 num_steps, 80) float32."""
    return np.full((num_steps * MELS_PER_STEP, NUM_MELS), MEL_FLOOR, np.float32)


def wide_columns(encoder: LipAudioEncoder, log_mel: Array) -> Array:
    """The "mel" and "lips" columns (L, 36) float32 of a whole clip's log-mel (2 L, 80)."""
    stream = WideStream(encoder)
    stream.push(log_mel, final=True)
    return stream.take(len(log_mel) // MELS_PER_STEP)
