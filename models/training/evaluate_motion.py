"""Score a motion generator in motion space: sync, rest, blinks, jerk, seams, drift, latency; no
rendering.

The measures are those of a landmark-based judge of videos (inner-lip gap against phone times),
taken on the mean face. Trial speech is ``SPEECH/flite_*.flac`` with ``.phones`` beside it; people
held out are the validation clips with speech.

Launch::

    python models/training/evaluate_motion.py --data DATA --speech SPEECH --bundle BUNDLE --teacher
    TEACHER_BUNDLE
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
from motion_data import Clip, load_clips, style_of
from splits import SINGLE_SPEAKER

from talkhead_models.basis import NECK_PIVOT, FaceBasis, rotation_matrix
from talkhead_models.generator import GenerateOptions, MotionGenerator, load_motion_generator
from talkhead_models.motion import EXPRESSION_SIZE as K
from talkhead_models.motion import FaceMotion

log = logging.getLogger("evaluate_motion")

BILABIAL = {"p", "b", "m"}
OPEN = {"aa", "ae", "ao", "aw", "ay", "ah", "ey", "eh", "ow"}
SILENT = {"pau", "sil", "h#"}
TARGET = {
    **dict.fromkeys((*BILABIAL, *SILENT), 0.0),
    **dict.fromkeys(("f", "v"), 0.12),
    **dict.fromkeys(("uw", "uh", "w", "iy", "ih", "er", "ax"), 0.45),
    **dict.fromkeys(("aa", "ae", "ao", "aw", "ay"), 1.0),
    **dict.fromkeys(("ah", "eh", "ey", "ow", "oy"), 0.8),
}
JUDGED_POINTS = [1, 152, 33, 263]

Phones = list[tuple[str, float, float]]


def read_phones(path: Path) -> Phones:
    """``phone:end phone:end ...`` to (phone, start, end) in seconds."""
    phones, start = [], 0.0
    for token in path.read_text().split():
        phone, end = token.rsplit(":", 1)
        phones.append((phone, start, float(end)))
        start = float(end)
    return phones


def points_of(motion: np.ndarray, basis: FaceBasis) -> np.ndarray:
    """Posed points of the mean face, (T, len(JUDGED_POINTS), 2), in outer-eye distances."""
    result = []
    for frame in motion:
        face = basis.mean[JUDGED_POINTS] + np.tensordot(
            frame[:K], basis.expression[:, JUDGED_POINTS], 1
        )
        turned = (face - NECK_PIVOT) @ rotation_matrix(frame[K + 4 : K + 7]).T + NECK_PIVOT
        result.append(turned[:, :2] * np.exp(frame[K + 9]) + frame[K + 7 : K + 9])
    return np.array(result, np.float32)


def score_phones(gap: np.ndarray, phones: Phones, fps: float = 25.0) -> dict[str, float]:
    """Closures, open vowels, correlation with the phone target, rest in silence."""
    times = (np.arange(len(gap)) + 0.5) / fps
    p95 = float(np.percentile(gap, 95))

    def span(start: float, end: float, pad: float) -> np.ndarray:
        inside = gap[(times >= start - pad) & (times <= end + pad)]
        return inside if len(inside) else np.array([np.nan])

    closed = [np.nanmin(span(s, e, 0.04)) for p, s, e in phones if p in BILABIAL]
    opened = [np.nanmax(span(s, e, 0.02)) for p, s, e in phones if p in OPEN and e - s >= 0.06]
    target = np.zeros(len(gap))
    silent = np.zeros(len(gap), bool)
    for phone, start, end in phones:
        target[(times >= start) & (times < end)] = TARGET.get(phone, 0.3)
        if phone in SILENT and end - start >= 0.25:
            silent |= (times > start + 0.12) & (times < end - 0.08)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
    target = np.convolve(target, kernel / kernel.sum(), "same")
    inner = slice(12, -12)
    lags = {
        lag: float(np.corrcoef(np.roll(gap, -lag)[inner], target[inner])[0, 1])
        for lag in range(-8, 9)
    }
    best = max(lags, key=lambda lag: lags[lag])
    return {
        "closure": float(np.mean(np.array(closed) < max(0.02, 0.15 * p95))),
        "open": float(np.mean((np.array(opened) > 0.35 * p95) & (np.array(opened) > 0.05))),
        "corr": lags[0],
        "lag_ms": best * 1000 / fps,
        "silence": float(gap[silent].mean() / p95) if silent.any() else float("nan"),
        "p95": p95,
    }


def score_motion(motion: np.ndarray, basis: FaceBasis, frames_per_chunk: int) -> dict[str, float]:
    """Jerk, blinks, head motion, seams of one clip (T, D)."""
    points = points_of(motion, basis)
    closed = motion[:, K : K + 2].mean(1) > 0.5
    steps = np.abs(np.diff(motion[:, :K], axis=0)).mean(1)
    turns = np.abs(np.diff(motion[:, K + 4 :], axis=0)).mean(1)
    seam = np.arange(frames_per_chunk - 1, len(steps), frames_per_chunk)
    inside = np.setdiff1d(np.arange(len(steps)), seam)
    return {
        "jerk": float(np.abs(np.diff(points, n=3, axis=0)).mean()),
        "blinks_min": float((closed[1:] & ~closed[:-1]).sum() / (len(motion) / 25) * 60),
        "turn_deg": float(np.degrees(motion[:, K + 4 : K + 7].std(0)).mean()),
        "nose_std": float(points[:, 0].std(0).mean()),
        "seam_face": float(steps[seam].mean() / (steps[inside].mean() + 1e-9))
        if len(seam)
        else float("nan"),
        "seam_pose": float(turns[seam].mean() / (turns[inside].mean() + 1e-9))
        if len(seam)
        else float("nan"),
    }


def generated(
    generator: MotionGenerator, features: np.ndarray, seed: int, options: GenerateOptions, **start
) -> np.ndarray:
    """A whole clip, (T, D)."""
    state = generator.start(seed, **start)
    parts: list[FaceMotion] = list(generator.generate(features, seed, options, state))
    return np.concatenate([part.to_array() for part in parts])


def trial_features(speech: Path, cache: Path) -> dict[str, np.ndarray]:
    """Features of the trial speech by name, extracted once."""
    cache.mkdir(parents=True, exist_ok=True)
    found = {}
    for path in sorted(speech.glob("flite_*.flac")):
        stored = cache / f"{path.stem}.npy"
        if not stored.exists():
            from talkhead_cli.audio import extract_features
            from talkhead_models.speech import load_speech_encoder

            np.save(stored, extract_features(path, load_speech_encoder(), 600).array)
        found[path.stem] = np.load(stored)
    return found


def judge(
    generator: MotionGenerator,
    options: GenerateOptions,
    trial: dict[str, np.ndarray],
    speech: Path,
    basis: FaceBasis,
    seeds: int,
) -> dict[str, float]:
    """Medians over the trial speech and the seeds."""
    rows = []
    for name, features in trial.items():
        phones = read_phones(speech / f"{name}.phones")
        for seed in range(seeds):
            motion = generated(generator, features, seed, options)
            gap = np.abs(basis.lip_gap(motion[:, :K]))
            rows.append(
                score_phones(gap, phones) | score_motion(motion, basis, generator.frames_per_chunk)
            )
    return {key: float(np.nanmedian([row[key] for row in rows])) for key in rows[0]}


def follow_people(
    generator: MotionGenerator, options: GenerateOptions, clips: list[Clip], basis: FaceBasis
) -> dict[str, float]:
    """Correlation of the lip opening with the real one, by group, and the amplitude against the
    real one."""
    result: dict[str, list[float]] = {}
    for clip in clips:
        if clip.features is None:
            continue
        group = (
            "single"
            if clip.person == SINGLE_SPEAKER
            else "grid"
            if "GRID" in clip.name or "vcd" in clip.name
            else "wild"
        )
        # The trained style follows no one: the clip's own style would be known in use from a
        # reference only.
        gap = basis.lip_gap(generated(generator, clip.features, 0, options)[: clip.num_frames, :K])
        true = basis.lip_gap(clip.motion[:, :K])
        result.setdefault(f"corr_{group}", []).append(float(np.corrcoef(gap, true)[0, 1]))
        if group != "wild":
            result.setdefault("p95_ratio", []).append(
                float(np.percentile(gap, 95) / np.percentile(true, 95))
            )
    return {key: float(np.median(values)) for key, values in result.items()}


def drift(
    generator: MotionGenerator, options: GenerateOptions, features: np.ndarray, basis: FaceBasis
) -> dict[str, float]:
    """600 s of looped speech: the last minute against the first."""
    looped = np.tile(features, (30000 // len(features) + 1, 1))[:30000]
    began = time.perf_counter()
    motion = generated(generator, looped, 0, options)
    seconds = time.perf_counter() - began
    first, last = motion[:1500], motion[-1500:]
    gaps = [np.percentile(basis.lip_gap(part[:, :K]), 95) for part in (first, last)]
    turn = np.degrees(motion[:, K + 4 : K + 7])
    minutes = turn.reshape(10, 1500, 3)
    return {
        "gap_last_over_first": float(gaps[1] / gaps[0]),
        "style_change": float(np.abs(style_of(last, basis) - style_of(first, basis)).max()),
        "turn_std_first": float(turn[:1500].std(0).mean()),
        "turn_std_last": float(turn[-1500:].std(0).mean()),
        "turn_mean_worst_minute": float(np.abs(minutes.mean(1)).max()),
        "turn_largest": float(np.abs(turn).max()),
        "place_largest": float(np.abs(motion[:, K + 7 : K + 9]).max()),
        "expression_mean_change": float(np.abs(last[:, :K].mean(0) - first[:, :K].mean(0)).max()),
        "blinks_min": score_motion(motion, basis, generator.frames_per_chunk)["blinks_min"],
        "seconds_for_600": seconds,
        "ms_per_chunk": 1000 * seconds / (15000 / generator.frames_per_chunk),
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """Rows of numbers as Markdown."""
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = ["| run | " + " | ".join(keys) + " |", "|" + "---|" * (len(keys) + 1)]
    for name, row in rows.items():
        lines.append(
            f"| {name} | "
            + " | ".join(f"{row[key]:.3f}" if key in row else "" for key in keys)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--speech", type=Path, required=True, help="folder of flite_*.flac and .phones"
    )
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--bundle", default="talkhead")
    parser.add_argument("--teacher", default="", help="teacher bundle, to compare with")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.5])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--articulation", type=float, nargs="+", default=[1.0, 0.0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--people", type=int, default=12, help="clips of the single speaker")
    parser.add_argument("--drift", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    basis = FaceBasis.load()
    trial = trial_features(args.speech, args.work / "features_trial")
    people = [
        clip
        for clip in load_clips(args.data, args.work, basis, validation=True)
        if clip.features is not None
    ]
    people = [clip for clip in people if clip.person != SINGLE_SPEAKER] + [
        clip for clip in people if clip.person == SINGLE_SPEAKER
    ][: args.people]

    student = load_motion_generator(args.bundle)
    runs = [(f"student {steps}", student, steps) for steps in args.steps]
    if args.teacher:
        runs.append(("teacher 50", load_motion_generator(args.teacher), 50))
    rows = {}
    for name, generator, steps in runs:
        for guidance in args.guidance:
            for strength in args.articulation:
                options = GenerateOptions(steps, guidance, strength)
                row = judge(generator, options, trial, args.speech, basis, args.seeds)
                row |= follow_people(generator, options, people, basis)
                rows[f"{name} g{guidance:g} a{strength:g}"] = row
                log.info(
                    "%s %s", name, json.dumps({key: round(value, 3) for key, value in row.items()})
                )
    log.info("\n%s", table(rows))
    if args.drift:
        numbers = drift(student, GenerateOptions(), next(iter(trial.values())), basis)
        log.info("\n%s", table({"600 s": numbers}))


if __name__ == "__main__":
    main()
