"""Measures of generated motion, no rendering: sync, likeness to real motion, diversity, seams, drift.

All take motion as `FaceMotion.to_array` gives it, (T, D) at 25/s; lengths are outer-eye distances on
the mean face. `summary` puts them together for one generator.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol

import numpy as np
from motion_data import Clip
from motion_statistics import MotionStatistics, frechet_motion_distance
from phone_sync import Phones, correlation, score_phones
from splits import SINGLE_SPEAKER

from talkhead_models.basis import NECK_PIVOT, FaceBasis, rotation_matrix
from talkhead_models.generator import POSE, GenerateOptions
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.motion import MOTION_FPS, FaceMotion
from talkhead_models.topology import LIPS

TURN = slice(K + 4, K + 7)
LIDS = slice(K, K + 2)

JUDGED_POINTS = [1, 152, 33, 263]
"""Nose, chin and outer eye corners: the points whose jerk is measured."""

MINUTE = 60 * MOTION_FPS


class Generator(Protocol):
    """What is asked of a generator; `talkhead_models.generator.MotionGenerator` has it."""

    @property
    def frames_per_chunk(self) -> int: ...

    def start(self, seed: int) -> Any: ...

    def generate(
        self, features: np.ndarray, seed: int, options: GenerateOptions | None, state: Any
    ) -> Iterator[FaceMotion]: ...


def generated(
    generator: Generator, features: np.ndarray, seed: int, options: GenerateOptions, **start: Any
) -> np.ndarray:
    """A whole clip, (T, D); `start` goes to the generator's `start`."""
    state = generator.start(seed, **start)
    parts = list(generator.generate(features, seed, options, state))
    return np.concatenate([part.to_array() for part in parts])


# Shape


def points_of(motion: np.ndarray, basis: FaceBasis) -> np.ndarray:
    """Posed points of the mean face, (T, len(JUDGED_POINTS), 2), in outer-eye distances."""
    moved = np.tensordot(motion[:, :K], basis.expression[:, JUDGED_POINTS], 1)
    turns = np.swapaxes(rotation_matrix(motion[:, TURN]), 1, 2)
    turned = (basis.mean[JUDGED_POINTS] + moved - NECK_PIVOT) @ turns + NECK_PIVOT
    scale, place = np.exp(motion[:, K + 9, None, None]), motion[:, None, K + 7 : K + 9]
    return (turned[..., :2] * scale + place).astype(np.float32)


def lip_points(motion: np.ndarray, basis: FaceBasis) -> np.ndarray:
    """Displacements of the lip points from rest without the head's pose, (T, len(LIPS), 2)."""
    return np.tensordot(motion[:, :K], basis.expression[:, list(LIPS), :2], 1)


def lip_distance(made: np.ndarray, real: np.ndarray, basis: FaceBasis) -> float:
    """Mean distance of the lip landmarks to the real ones (LMD), pose-free, on the mean face.

    A mouth that never opens has a distance too, see `reference_rows`: read it beside that.

    Raises:
        ValueError: the lengths differ.
    """
    if len(made) != len(real):
        raise ValueError(f"{len(made)} frames cannot be compared with {len(real)}")
    difference = lip_points(made[:, :K] - real[:, :K], basis)
    return float(np.linalg.norm(difference, axis=-1).mean())


def diversity(seeds: Sequence[np.ndarray], basis: FaceBasis) -> dict[str, float]:
    """How far motions of the same speech are apart, mean over pairs of seeds and over frames.

    Returns:
        diversity_lips: mean distance of lip landmarks, in outer-eye distances.
        diversity_pose: length of the difference of (pitch, yaw, roll), in degrees.

    Raises:
        ValueError: fewer than two motions.
    """
    if len(seeds) < 2:
        raise ValueError("diversity needs motions of two seeds at least")
    pairs = list(combinations(seeds, 2))
    turns = [np.linalg.norm(a[:, TURN] - b[:, TURN], axis=1).mean() for a, b in pairs]
    return {
        "diversity_lips": float(np.mean([lip_distance(a, b, basis) for a, b in pairs])),
        "diversity_pose": float(np.degrees(np.mean(turns))),
    }


# Smoothness


def jerk(motion: np.ndarray, basis: FaceBasis) -> float:
    """Mean absolute third difference of nose, chin and eye corners, outer-eye distances a frame^3."""
    return float(np.abs(np.diff(points_of(motion, basis), n=3, axis=0)).mean())


def blink_rate(motion: np.ndarray) -> float:
    """Blinks a minute: how often both lids together pass half closed."""
    closed = motion[:, LIDS].mean(1) > 0.5
    return float((closed[1:] & ~closed[:-1]).sum() / len(motion) * MINUTE)


def boundary_step(motion: np.ndarray, frames_per_chunk: int) -> dict[str, float]:
    """Mean step of a frame at chunk boundaries over the median step elsewhere; NaN for one chunk.

    Steps of speech are skewed, so that motion without any seam is over 1, not at 1: compare with
    real motion cut at the same places.
    """
    result = {}
    for name, columns in (("boundary_face", slice(0, K)), ("boundary_pose", POSE)):
        steps = np.abs(np.diff(motion[:, columns], axis=0)).mean(1)
        at = np.arange(frames_per_chunk - 1, len(steps), frames_per_chunk)
        inside = np.delete(steps, at)
        still = 1e-9  # two steps of nothing are equal
        result[name] = (
            float((steps[at].mean() + still) / (np.median(inside) + still))
            if len(at) and len(inside)
            else float("nan")
        )
    return result


# Long clips


def drift_curve(
    motion: np.ndarray, statistics: MotionStatistics, basis: FaceBasis
) -> dict[str, list[float]]:
    """Measures of a long motion minute by minute; a last part of a minute is left out.

    Returns:
        fmd: Frechet motion distance of the minute to real motion.
        gap_p95: 95th percentile of the inner-lip gap, the mouth's amplitude.
        blinks_min: blinks.
        rest: 10th percentile of the gap: how the mouth rests.
        offset: mean lip distance between the minute's mean face and the first minute's.

    Raises:
        ValueError: shorter than a minute.
    """
    minutes = [motion[i : i + MINUTE] for i in range(0, len(motion) - MINUTE + 1, MINUTE)]
    if not minutes:
        raise ValueError(f"drift needs {MINUTE} frames at least, got {len(motion)}")
    gaps = [basis.lip_gap(minute[:, :K]) for minute in minutes]
    means = [minute.mean(0, keepdims=True) for minute in minutes]
    return {
        "fmd": [frechet_motion_distance([minute], statistics) for minute in minutes],
        "gap_p95": [float(np.percentile(gap, 95)) for gap in gaps],
        "blinks_min": [blink_rate(minute) for minute in minutes],
        "rest": [float(np.percentile(gap, 10)) for gap in gaps],
        "offset": [lip_distance(mean, means[0], basis) for mean in means],
    }


def drift_summary(curve: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Last minute over first; for rest and offset, which are near 0, the change instead."""
    result = {
        f"{name}_ratio": float(curve[name][-1] / curve[name][0]) if curve[name][0] else float("nan")
        for name in ("fmd", "gap_p95", "blinks_min")
    }
    result["rest_change"] = float(curve["rest"][-1] - curve["rest"][0])
    result["offset_last"] = float(curve["offset"][-1])
    return result


# Everything about one generator


def group_of(clip: Clip) -> str:
    """`single` (the speaker with most clips), `grid` (other studio recordings) or `wild`."""
    if clip.person == SINGLE_SPEAKER:
        return "single"
    return "grid" if "GRID" in clip.name or "vcd" in clip.name else "wild"


def follow(
    motions: Sequence[np.ndarray], clips: Sequence[Clip], basis: FaceBasis
) -> dict[str, float]:
    """Motions made from the clips' own speech against the clips' real motion.

    Returns:
        corr_<group>: correlation of the lip gap with the real one, median over the group's clips.
        p95_ratio: amplitude of the gap over the real one, median over studio clips.
        lip_distance, lip_distance_<group>: mean over the clips.
    """
    found: dict[str, list[float]] = {}
    for motion, clip in zip(motions, clips, strict=True):
        group = group_of(clip)
        gap, true = basis.lip_gap(motion[:, :K]), basis.lip_gap(clip.motion[:, :K])
        found.setdefault(f"corr_{group}", []).append(correlation(gap, true))
        distance = lip_distance(motion, clip.motion, basis)
        for key in ("lip_distance", f"lip_distance_{group}"):
            found.setdefault(key, []).append(distance)
        if group != "wild":
            ratio = float(np.percentile(gap, 95) / np.percentile(true, 95))
            found.setdefault("p95_ratio", []).append(ratio)
    return {
        key: float(np.mean(values) if key.startswith("lip_distance") else np.median(values))
        for key, values in found.items()
    }


def held_out_motions(
    generator: Generator,
    clips: Sequence[Clip],
    options: GenerateOptions,
    seed: int = 0,
    feature_size: int | None = None,
) -> list[np.ndarray]:
    """Motion from each clip's own speech, cut to the clip's length.

    The generator's own style is kept: the clip's style would be known in use from a reference only.

    Raises:
        ValueError: a clip has no speech.
    """
    motions = []
    for clip in clips:
        if clip.features is None:
            raise ValueError(f"{clip.name}: a clip without speech cannot be followed")
        features = clip.features[:, :feature_size]
        motions.append(generated(generator, features, seed, options)[: clip.num_frames])
    return motions


def trial_motions(
    generator: Generator,
    trial: Mapping[str, np.ndarray],
    options: GenerateOptions,
    seeds: Sequence[int],
    feature_size: int | None = None,
) -> tuple[dict[str, list[np.ndarray]], float]:
    """Motions of the trial recordings, one a seed, and the milliseconds a chunk took on a CPU.

    It is processor time, of the fastest recording, so that other work on the machine counts little.
    """
    motions: dict[str, list[np.ndarray]] = {}
    timings = []
    for name, features in trial.items():
        for seed in seeds:
            began = time.process_time()
            motion = generated(generator, features[:, :feature_size], seed, options)
            elapsed = time.process_time() - began
            timings.append(1000 * elapsed / -(-len(motion) // generator.frames_per_chunk))
            motions.setdefault(name, []).append(motion)
    return motions, min(timings)


def score_motion(motion: np.ndarray, basis: FaceBasis, frames_per_chunk: int) -> dict[str, float]:
    """Jerk, blinks, head motion and seams of one clip (T, D); turn_deg is the mean deviation of
    pitch, yaw and roll."""
    return {
        "jerk": jerk(motion, basis),
        "blinks_min": blink_rate(motion),
        "turn_deg": float(np.degrees(motion[:, TURN].std(0)).mean()),
        **boundary_step(motion, frames_per_chunk),
    }


def fmd_parts(motions: Sequence[np.ndarray], statistics: MotionStatistics) -> dict[str, float]:
    """fmd, and the same over the face's and over the pose's features alone."""
    return {
        "fmd": frechet_motion_distance(motions, statistics),
        "fmd_face": frechet_motion_distance(motions, statistics, "face"),
        "fmd_pose": frechet_motion_distance(motions, statistics, "pose"),
    }


def summary(
    generator: Generator,
    trial: Mapping[str, np.ndarray],
    phones: Mapping[str, Phones],
    clips: Sequence[Clip],
    statistics: MotionStatistics,
    basis: FaceBasis,
    options: GenerateOptions | None = None,
    *,
    seeds: Sequence[int] = (0,),
    feature_size: int | None = None,
) -> dict[str, float]:
    """All measures of one generator in one flat dict.

    Args:
        generator: anything with `start`, `generate` and `frames_per_chunk`.
        trial: recordings' features by name, (L, F) at 50/s.
        phones: what is said in them, by the same names.
        clips: held-out clips; those without features are passed over.
        statistics: of real motion.
        basis: of the face.
        options: how to sample.
        seeds: of the trial recordings; held-out clips are made with the first alone.
        feature_size: features are cut to so many columns; None takes all.

    Returns:
        Medians over recordings and seeds of `score_phones` and `score_motion`; `diversity` on the
        first recording, over two seeds at least; `follow` and `fmd_parts` over the clips;
        ms_per_chunk.
    """
    options = options or GenerateOptions()
    motions, milliseconds = trial_motions(generator, trial, options, seeds, feature_size)
    rows = [
        score_phones(np.abs(basis.lip_gap(motion[:, :K])), phones[name])
        | score_motion(motion, basis, generator.frames_per_chunk)
        for name, found in motions.items()
        for motion in found
    ]
    result = {key: median([row[key] for row in rows]) for key in rows[0]}
    name, same_speech = next(iter(motions.items()))
    if len(same_speech) < 2:
        features = trial[name][:, :feature_size]
        same_speech = [*same_speech, generated(generator, features, seeds[0] + 1, options)]
    result |= diversity(same_speech, basis)
    spoken = [clip for clip in clips if clip.features is not None]
    if spoken:
        answers = held_out_motions(generator, spoken, options, seeds[0], feature_size)
        result |= follow(answers, spoken, basis) | fmd_parts(answers, statistics)
    return result | {"ms_per_chunk": milliseconds}


def median(values: Sequence[float]) -> float:
    """Median of those that are numbers; NaN where none is."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.median(known)) if known else float("nan")


def reference_rows(
    clips: Sequence[Clip], statistics: MotionStatistics, basis: FaceBasis, frames_per_chunk: int
) -> dict[str, dict[str, float]]:
    """What the measures say where the answer is known, to read a generator's numbers by.

    Returns:
        "real motion": the clips themselves; "mouth at rest": a face that never moves.
    """
    spoken = [clip for clip in clips if clip.features is not None]
    motions = [clip.motion for clip in spoken]
    seams = [boundary_step(motion, frames_per_chunk) for motion in motions]
    real = {key: median([seam[key] for seam in seams]) for key in seams[0]}
    real["jerk"] = median([jerk(motion, basis) for motion in motions])
    real |= fmd_parts(motions, statistics)
    still = [np.zeros_like(motion) for motion in motions]
    distances = [lip_distance(a, b, basis) for a, b in zip(still, motions, strict=True)]
    return {
        "real motion": real,
        "mouth at rest": {"lip_distance": float(np.mean(distances))} | fmd_parts(still, statistics),
    }
