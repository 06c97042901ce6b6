"""What an evaluation found: typed, and as one flat JSON object."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.evaluation.face import FaceMeasures
from talkhead_cli.evaluation.likeness import LikenessMeasures
from talkhead_cli.evaluation.lips import LipMeasures
from talkhead_cli.evaluation.phones import LipScript
from talkhead_cli.evaluation.reference import ReferenceMeasures


@dataclass(frozen=True)
class VideoFacts:
    """What was measured.

    Attributes:
        video: its path.
        num_frames, width, height, fps: as decoded.
        codec: ffmpeg's name.
        length_gap_ms: length of the picture less that of the sound, as decoded; None without sound.
    """

    video: str
    num_frames: int
    width: int
    height: int
    fps: float
    codec: str
    length_gap_ms: float | None = None


@dataclass(frozen=True)
class SteadinessMeasures:
    """Steadiness of the picture; None where it cannot be told. Definitions: docs/metrics.md.

    Attributes:
        mouth_sharpness: mean gradient energy of the mouth's patch in levels a pixel.
        mouth_flicker: mean absolute second difference in time of the mouth's patch in levels.
        warping_error, warping_error_background, warping_error_mouth: levels.
        warping_error_still: of the background of the portrait encoded alone.
        warping_ratio_background: background over that.
    """

    mouth_sharpness: float | None = None
    mouth_flicker: float | None = None
    warping_error: float | None = None
    warping_error_background: float | None = None
    warping_error_mouth: float | None = None
    warping_error_still: float | None = None
    warping_ratio_background: float | None = None


@dataclass(frozen=True)
class Timeline:
    """What a plot shows.

    Attributes:
        gap: (T,) inner-lip gap in outer-eye distances.
        fps: frames a second.
        script: what the lips should do; None where nothing is known.
        loudness: (L,) speech energy in [0, 1] at 50 a second; empty without sound.
    """

    gap: NDArray[np.float64]
    fps: float
    script: LipScript | None
    loudness: NDArray[np.float32]


@dataclass(frozen=True)
class Evaluation:
    """Everything that was measured of one video.

    Attributes:
        facts, lips, face, likeness, steadiness, reference: the measures by kind.
        warnings: what could not be measured and why, one sentence each.
        timeline: for the plot; not part of `to_dict`.
    """

    facts: VideoFacts
    lips: LipMeasures
    face: FaceMeasures
    likeness: LikenessMeasures
    steadiness: SteadinessMeasures
    reference: ReferenceMeasures
    warnings: tuple[str, ...]
    timeline: Timeline

    def to_dict(self) -> dict[str, Any]:
        """All measures as one flat object of plain values, None where unknown; the keys are always the same."""
        groups = (
            self.facts,
            self.lips,
            self.face,
            self.likeness,
            self.steadiness,
            self.reference,
        )
        values = {key: plain(value) for group in groups for key, value in asdict(group).items()}
        return values | {"warnings": list(self.warnings)}


def plain(value: Any) -> Any:
    """A value that JSON can hold: numbers to six digits, None for what is not a number."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
