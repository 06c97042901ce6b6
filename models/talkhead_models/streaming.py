"""The state of one clip between chunks, as an explicit value, and the plan of chunks.

`StreamState` holds everything a next chunk depends on; stepping from a stored state is the same as
never having stopped.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass, field, fields
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from talkhead_models.denoiser import FEATURES_PER_STEP, NUM_VISEMES, ContextCache, DenoiserConfig
from talkhead_models.speech_kinds import silent_features

FloatArray = NDArray[np.float32]

STATE_VERSION = 3
"""Raised when a stored state of an older version can no longer be continued."""


@dataclass(frozen=True)
class EventState:
    """Where the two event processes (blinks, gaze shifts) stand.

    Attributes:
        blink_index: number of the newest blink, 0 before the first.
        blink_frame: frame at which it began.
        blink_left: frames until the next one at a pace of 1.
        gaze_index: number of the gaze shift that comes next.
        gaze_frame: frame at which it starts.
        gaze: (x, y) the eyes rest at until then, in eye widths.
    """

    blink_index: int = 0
    blink_frame: float = 0.0
    blink_left: float = 0.0
    gaze_index: int = 0
    gaze_frame: float = 0.0
    gaze: tuple[float, float] = (0.0, 0.0)


def nothing() -> FloatArray:
    """An empty array."""
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class StreamState:
    """One clip's state between two chunks.

    Attributes:
        seed: the clip's seed.
        chunk_index: number of the next chunk.
        latents: (C, Z) float32, the newest latents, oldest first.
        speech: (P, F) float32, the newest speech features, as many as the past steps' windows
            reach back.
        decoded: (D,) float32, the newest frame as the decoder made it.
        reference: (R, reference_size) float32, the portrait: as a pseudo-video, or one frame.
        style: (style_size,) float32.
        pose: (2, 6) float32, where the two stages that smooth the head's pose stand.
        events: blinks and gaze.
        sink: (2, layers, heads, 1 + R, d) float32, keys and values of style and reference; all of
            the clip attends to them. Empty but for a block-causal network, as `remembered`.
        remembered: (2, layers, heads, C, d) float32, keys and values of the newest past chunks.
    """

    seed: int
    chunk_index: int
    latents: FloatArray
    speech: FloatArray
    decoded: FloatArray
    reference: FloatArray
    style: FloatArray
    pose: FloatArray
    events: EventState = EventState()
    sink: FloatArray = field(default_factory=nothing)
    remembered: FloatArray = field(default_factory=nothing)

    def to_bytes(self) -> bytes:
        """The state as bytes (an uncompressed .npz, no pickle)."""
        numbers = {"version": STATE_VERSION, "seed": self.seed, "chunk_index": self.chunk_index}
        header = json.dumps(numbers | {"events": asdict(self.events)})
        buffer = io.BytesIO()
        arrays = {name: getattr(self, name) for name in ARRAY_FIELDS}
        np.savez(buffer, header=np.frombuffer(header.encode(), np.uint8), **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> StreamState:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the bytes are no state, or one of another version.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                header = json.loads(stored["header"].tobytes())
                arrays = {name: stored[name] for name in ARRAY_FIELDS}
        except (OSError, KeyError, EOFError, ValueError, BadZipFile) as error:
            raise ValueError(f"these bytes hold no stream state ({error})") from error
        if header["version"] != STATE_VERSION:
            raise ValueError(
                f"stream state of version {header['version']},"
                f" this program continues {STATE_VERSION}"
            )
        events = header["events"] | {"gaze": tuple(header["events"]["gaze"])}
        return cls(header["seed"], header["chunk_index"], **arrays, events=EventState(**events))


ARRAY_FIELDS = (
    *("latents", "speech", "decoded", "reference", "style", "pose", "sink", "remembered"),
)
assert {f.name for f in fields(StreamState)} == {*ARRAY_FIELDS, "seed", "chunk_index", "events"}


@dataclass(frozen=True)
class ChunkPlan:
    """How a clip is cut.

    Attributes:
        num_frames: frames of the clip.
        frames_per_chunk: frames of each chunk; the last one is generated in full and cut.
    """

    num_frames: int
    frames_per_chunk: int

    @property
    def num_chunks(self) -> int:
        """Chunks that cover the clip."""
        return -(-self.num_frames // self.frames_per_chunk)

    def frames_of(self, chunk_index: int) -> int:
        """Frames a chunk contributes."""
        return min(self.frames_per_chunk, self.num_frames - chunk_index * self.frames_per_chunk)


def silence(num_vectors: int, feature_size: int) -> FloatArray:
    """Speech features of silence, (num_vectors, F) float32: the first viseme is certain, all else
    0."""
    return silent_features(num_vectors, feature_size)


def past_length(config: DenoiserConfig) -> int:
    """Speech vectors a state holds: what the oldest past step's window reaches back to."""
    return config.context_steps * FEATURES_PER_STEP + config.speech_past


def chunk_features(features: FloatArray, chunk_index: int, config: DenoiserConfig) -> FloatArray:
    """The features one step of the stream needs: its own and the look-ahead, silence behind the
    end.

    Args:
        features: (L, F) float32 of the whole clip at 50/s.
        chunk_index: which chunk.
        config: chunk and look-ahead sizes.

    Returns:
        (chunk_steps * 8 + speech_ahead, F) float32.
    """
    own = config.chunk_steps * FEATURES_PER_STEP
    start = chunk_index * own
    found = features[start : start + own + config.speech_ahead]
    missing = own + config.speech_ahead - found.shape[0]
    if missing:
        found = np.concatenate([found, silence(missing, features.shape[1])])
    return np.ascontiguousarray(found, np.float32)


def speech_windows(features: Tensor, config: DenoiserConfig) -> Tensor:
    """Overlapping windows, one a latent step.

    Args:
        features: (B, speech_past + 8 S + speech_ahead, F).

    Returns:
        (B, S, window, F); the step's own eight vectors begin at speech_past.
    """
    spare = (features.shape[1] - config.speech_past - config.speech_ahead) % FEATURES_PER_STEP
    if spare or features.shape[2] < NUM_VISEMES:
        raise ValueError(f"features of shape {tuple(features.shape)} do not fill whole steps")
    return features.unfold(1, config.window, FEATURES_PER_STEP).transpose(2, 3)


def cache_to_array(cache: ContextCache) -> FloatArray:
    """A cache of batch 1 as (2, layers, heads, tokens, d) float32."""
    stacked = torch.stack([torch.cat(cache.keys), torch.cat(cache.values)])
    return np.asarray(stacked.detach().float().cpu().numpy(), np.float32)


def array_to_cache(array: FloatArray, device: torch.device) -> ContextCache:
    """The inverse of `cache_to_array`."""
    keys, values = torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(device)
    return ContextCache(tuple(keys.split(1)), tuple(values.split(1)))


def as_tensor(array: FloatArray, device: torch.device) -> Tensor:
    """An array as a batch of one on a device."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))[None].to(device)
