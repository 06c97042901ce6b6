"""The speech encoder: log-mel to viseme posteriors and prosody, 50 steps a second, with a bounded look-ahead.

A small convolutional network trained from scratch on synthetic speech with exact phone times and on force-aligned real
speech. Nothing in it depends on the length of the clip, so that a stream of blocks gives the same numbers as the whole
clip at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from talkhead_models.bundle import Bundle, fitting, load_bundle

NUM_MELS = 80
"""Mel bands of the input."""

MEL_RATE = 100
"""Log-mel frames a second."""

STEP_RATE = 50
"""Speech steps a second: two mel frames each, two to a 25 fps video frame."""

MELS_PER_STEP = MEL_RATE // STEP_RATE

VISEMES = (
    "silence",
    "PBM",
    "FV",
    "TH",
    "TDN",
    "SZ",
    "SH",
    "KG",
    "L",
    "R",
    "UW",
    "OH",
    "AA",
    "AE",
    "IY",
    "AX",
)
"""The 16 mouth shapes, by the index of their posterior: silence; p b m; f v; th dh; t d n; s z; sh zh ch jh; k g ng h;
l; r er; w uw uh; ow ao; aa ah ay aw; ae eh ey; iy ih y; ax and other central vowels."""

NUM_VISEMES = len(VISEMES)

FEATURE_SIZE = NUM_VISEMES + 4
"""Width F of the speech features: posteriors, loudness, its difference, voicing, pitch."""

WIDE_FEATURE_SIZE = FEATURE_SIZE + 36
"""Width of the features that hold every kind, see `talkhead_models.speech_kinds`."""

LOUDNESS, LOUDNESS_STEP, VOICING, PITCH = range(NUM_VISEMES, FEATURE_SIZE)

REFERENCE_HZ = 100.0
"""The encoder's pitch output is log2(f0 / REFERENCE_HZ)."""

Array = NDArray[np.float32]


class SpeechOutput(NamedTuple):
    """What the encoder says about B clips of L steps.

    Attributes:
        visemes: (B, L, 16) logits in the order of `VISEMES`.
        prosody: (B, L, 2): voicing logit, and pitch as log2(f0 / 100 Hz), meaningful where voiced.
    """

    visemes: Tensor
    prosody: Tensor


@dataclass(frozen=True)
class SpeechFeatures:
    """Speech as the motion generator reads it.

    Attributes:
        array: (L, 20) float32 at 50/s: [0:16] viseme posteriors that sum to 1; [16] loudness in [0, 1], 0 = silence;
            [17] its difference to the step before; [18] voicing probability; [19] pitch against the speaker's running
            median in octaves, in [-1, 1], 0 where unvoiced. L is even: two steps to a video frame at 25 fps.
            Or (L, 56): with the further kinds of `talkhead_models.speech_kinds` in the other columns.
        duration_seconds: length of the audio; at most L / 50, and within 1/25 s of it.
        views: (chunks, n, F) float32: what had been heard when each chunk was made, where that was not yet settled;
            the array then is what was thought of each step in its own chunk.
    """

    array: Array
    duration_seconds: float
    views: Array | None = None

    def __post_init__(self) -> None:
        widths = (FEATURE_SIZE, WIDE_FEATURE_SIZE)
        if self.array.ndim != 2 or self.array.shape[1] not in widths or len(self.array) % 2:
            allowed = " or ".join(map(str, widths))
            raise ValueError(f"features must be (even L, {allowed}), got {self.array.shape}")

    @property
    def num_steps(self) -> int:
        """L."""
        return len(self.array)

    @property
    def num_frames(self) -> int:
        """Video frames at 25 fps that these steps cover."""
        return len(self.array) // 2


@dataclass(frozen=True)
class SpeechConfig:
    """Sizes of a `SpeechEncoder`.

    Attributes:
        channels: width of the trunk.
        front_channels: widths of the three spectral convolutions.
        kernel: taps of each block's dilated convolution.
        dilations: one a block.
        lookaheads: right context of each block in steps; at most (kernel - 1) * dilation.
        dropout: share of channels dropped in training.
    """

    channels: int = 128
    front_channels: tuple[int, int, int] = (16, 24, 24)
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    lookaheads: tuple[int, ...] = (2, 2, 2, 2, 0, 0)
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if len(self.dilations) != len(self.lookaheads):
            raise ValueError(
                f"{len(self.dilations)} dilations but {len(self.lookaheads)} lookaheads"
            )
        if any(
            a > (self.kernel - 1) * d for d, a in zip(self.dilations, self.lookaheads, strict=True)
        ):
            raise ValueError("a lookahead is longer than its convolution")

    @property
    def left_context(self) -> int:
        """Steps before a step that can change its output (front end included)."""
        spans = (
            (self.kernel - 1) * d - a for d, a in zip(self.dilations, self.lookaheads, strict=True)
        )
        return 2 + sum(spans)

    @property
    def right_context(self) -> int:
        """Steps after a step that can change its output (front end included)."""
        return 2 + sum(self.lookaheads)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> SpeechConfig:
        """From a bundle's header, where tuples have become lists."""
        sizes: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
        }
        return cls(**sizes)


class DilatedBlock(nn.Module):
    """Residual block over time: dilated convolution with a chosen look-ahead, then a pointwise one."""

    def __init__(
        self, channels: int, kernel: int, dilation: int, lookahead: int, dropout: float
    ) -> None:
        super().__init__()
        self.padding = ((kernel - 1) * dilation - lookahead, lookahead)
        self.norm = nn.BatchNorm1d(channels)
        self.dilated = nn.Conv1d(channels, channels, kernel, dilation=dilation)
        self.inner_norm = nn.BatchNorm1d(channels)
        self.pointwise = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) to (B, C, L)."""
        y = self.dilated(functional.pad(functional.relu(self.norm(x)), self.padding))
        y = self.pointwise(self.dropout(functional.relu(self.inner_norm(y))))
        return x + y


class SpeechTrunk(nn.Module):
    """Log-mel to numbers at 50/s through hidden channels: what the encoders of speech have in common.

    The normalisation of the input is fixed (no statistics of the clip), which is what makes streaming exact; level,
    channel and noise are learned away by augmentation.
    """

    def __init__(self, config: SpeechConfig, output_size: int) -> None:
        super().__init__()
        self.config = config
        self.output_size = output_size
        first, second, third = config.front_channels
        width = config.channels
        self.front = nn.Sequential(
            nn.Conv2d(1, first, 3, stride=(2, 1), padding=1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, (3, 4), stride=(2, 2), padding=1),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, stride=(2, 1), padding=1),
            nn.BatchNorm2d(third),
            nn.ReLU(),
        )
        self.project = nn.Conv1d(third * (NUM_MELS // 8), width, 1)
        self.blocks = nn.Sequential(
            *(
                DilatedBlock(width, config.kernel, dilation, lookahead, config.dropout)
                for dilation, lookahead in zip(config.dilations, config.lookaheads, strict=True)
            )
        )
        self.head = nn.Sequential(
            nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, output_size, 1)
        )

    def hidden(self, log_mel: Tensor) -> Tensor:
        """Hidden channels (B, C, L) of log-mel (B, L2, 80), L = L2 / 2.

        Raises:
            ValueError: the shape is not (B, even L2, 80).
        """
        if log_mel.ndim != 3 or log_mel.shape[2] != NUM_MELS or log_mel.shape[1] % MELS_PER_STEP:
            raise ValueError(
                f"log_mel must be (B, even L2, {NUM_MELS}), got {tuple(log_mel.shape)}"
            )
        x = ((log_mel + 3.0) / 2.0).transpose(1, 2).unsqueeze(1)  # (B, 1, 80, L2)
        x = self.front(x).flatten(1, 2)  # (B, C * 10, L)
        return self.blocks(self.project(x))  # (B, C, L)

    def encode(self, log_mel: Tensor) -> Tensor:
        """All outputs (B, L, `output_size`) of log-mel (B, L2, 80)."""
        return self.head(self.hidden(log_mel)).transpose(1, 2)


class SpeechEncoder(SpeechTrunk):
    """Log-mel to viseme logits and prosody."""

    def __init__(self, config: SpeechConfig | None = None) -> None:
        super().__init__(config or SpeechConfig(), NUM_VISEMES + 2)

    def forward(self, log_mel: Tensor) -> SpeechOutput:
        """Encode clips.

        Args:
            log_mel: (B, L2, 80) float32, log10 of mel power as `talkhead_cli.audio.log_mel` gives it, L2 even.

        Returns:
            Logits and prosody for L = L2 / 2 steps.

        Raises:
            ValueError: the shape is not (B, even L2, 80).
        """
        x = self.encode(log_mel)
        return SpeechOutput(x[..., :NUM_VISEMES], x[..., NUM_VISEMES:])


Encoder = TypeVar("Encoder", bound=SpeechTrunk)


@dataclass(frozen=True)
class SpeechStreamState:
    """Where a stream stands: an explicit value, replaced at each step.

    Attributes:
        tail: (n, 80) float32 mel frames still needed, from `start` on.
        start: step index of the tail's first frame.
        done: steps already put out.
    """

    tail: Array
    start: int = 0
    done: int = 0


def start_stream() -> SpeechStreamState:
    """The state before the first block."""
    return SpeechStreamState(np.zeros((0, NUM_MELS), np.float32))


def settle_block(
    encoder: SpeechTrunk, state: SpeechStreamState, log_mel: Array, final: bool = False
) -> tuple[Array, SpeechStreamState]:
    """As `read_block`, for what is settled and the state."""
    output, _, following = read_block(encoder, state, log_mel, final)
    return output, following


@torch.no_grad()
def read_block(
    encoder: SpeechTrunk, state: SpeechStreamState, log_mel: Array, final: bool = False
) -> tuple[Array, Array, SpeechStreamState]:
    """Run an encoder over the next block of a stream; all settled outputs together equal those of the whole clip.

    Args:
        encoder: in evaluation mode.
        state, log_mel, final: see `encode_block`.

    Returns:
        Outputs (m, `output_size`) float32 of the m steps that are settled now; (n, `output_size`) of those that are
        not, as if nothing came behind them, only where m > 0; and the state for the next block.
    """
    tail = np.concatenate([state.tail, np.asarray(log_mel, np.float32)])
    available = state.start + len(tail) // MELS_PER_STEP
    settled = available if final else max(state.done, available - encoder.config.right_context)
    if settled == state.done:
        empty = np.zeros((0, encoder.output_size), np.float32)
        return empty, empty, SpeechStreamState(tail, state.start, state.done)
    whole = torch.from_numpy(tail[: len(tail) // MELS_PER_STEP * MELS_PER_STEP])
    output = encoder.encode(whole.to(next(encoder.parameters()).device)[None])
    span = slice(state.done - state.start, settled - state.start)
    start = max(0, settled - encoder.config.left_context)
    kept = tail[(start - state.start) * MELS_PER_STEP :]
    said = output[0, span.start :].cpu().numpy()
    count = settled - state.done
    return said[:count], said[count:], SpeechStreamState(kept, start, settled)


def encode_block(
    encoder: SpeechEncoder, state: SpeechStreamState, log_mel: Array, final: bool = False
) -> tuple[Array, Array, SpeechStreamState]:
    """Encode the next block of a stream; the outputs of all blocks together equal those of the whole clip.

    Args:
        encoder: in evaluation mode.
        state: from `start_stream` or the block before.
        log_mel: (n, 80) float32, the next mel frames, any n >= 0; the total must be even when `final`.
        final: no more blocks follow, so the steps held back for look-ahead are put out too.

    Returns:
        visemes: (m, 16) float32 logits of the steps that are settled now.
        prosody: (m, 2) float32 voicing logit and log2(f0 / 100 Hz).
        state: for the next block.
    """
    output, state = settle_block(encoder, state, log_mel, final)
    return output[:, :NUM_VISEMES], output[:, NUM_VISEMES:], state


def speech_encoder_tensors(
    encoder: SpeechTrunk, half: bool = True
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parameters and config of an encoder, as `save_bundle` takes them; half precision unless told."""
    tensors = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in encoder.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    return tensors, asdict(encoder.config)


def restore_encoder(
    encoder_class: Callable[[SpeechConfig], Encoder], bundle: Bundle, what: str
) -> Encoder:
    """An encoder from its bundle, in evaluation mode and single precision.

    Args:
        encoder_class: makes the network from its sizes.
        bundle: as loaded.
        what: the network in words, for the message.

    Raises:
        BundleError: the bundle holds another network.
    """
    with fitting(bundle.name, what):
        encoder = encoder_class(SpeechConfig.from_mapping(bundle.config))
        state = {key: tensor.float() for key, tensor in bundle.tensors.items()}
        counters = {
            k: v for k, v in encoder.state_dict().items() if k.endswith("num_batches_tracked")
        }
        encoder.load_state_dict(state | counters)
    return encoder.eval().requires_grad_(False)


def load_speech_encoder(
    name: str | Path = "speech", device: str | torch.device = "cpu"
) -> SpeechEncoder:
    """The trained encoder, in evaluation mode and single precision.

    Args:
        name: a bundle's name or path.
        device: where to put it.

    Raises:
        BundleError: the bundle is missing, damaged or holds another network.
    """
    return restore_encoder(SpeechEncoder, load_bundle(name), "a speech encoder").to(device)
