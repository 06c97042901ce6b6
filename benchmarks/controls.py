"""Measure what generated motion has to do with its speech, and what the controls of `talkhead render` do to it.

SPEECH are recordings; one with a ``.phones`` file beside it (``phone:end_seconds`` items) is judged by its phones, too.

* ``speech``: correlation of the head's speed, of nods and of the brows' height with loudness, blinks around pauses and
  in speech, how alike seeds are, and whether the head's motion ever comes back;
* ``guidance``: what guidance scales do;
* ``emotion``: the mouth's closures and openings with each emotion at full strength;
* ``styles``: two clips' styles, how near motion in each comes to its clip and to the other.

No picture is rendered. Definitions: docs/motion-controls.md.

Launch (one core, about a minute each)::

    python benchmarks/controls.py speech SPEECH ... --seeds 3
    python benchmarks/controls.py guidance SPEECH ...
    python benchmarks/controls.py emotion SPEECH ...
    python benchmarks/controls.py styles SPEECH ... --clips A.mp4 B.mp4
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from talkhead_cli.audio import extract_features
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import RenderSettings, resolve_settings
from talkhead_cli.style_clip import load_style
from talkhead_models.basis import FaceBasis
from talkhead_models.emotion import EMOTIONS
from talkhead_models.motion import MOTION_FPS, FaceMotion
from talkhead_models.prosody import spread
from talkhead_models.speech import LOUDNESS, PITCH, SpeechFeatures, load_speech_encoder
from talkhead_models.style import StyleStatistics, brow_height

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from phone_sync import Phones, correlation, read_phones, score_phones

SMOOTH = np.hanning(7)[1:-1]
"""Of loudness and speeds, over a fifth of a second."""

SLOW = np.hanning(53)[1:-1]
"""What nods and raises are told from, over two seconds."""

LAGS = range(-5, 11)
"""Frames that motion may be behind the sound; the best counts."""

AROUND = (5, 3)
"""Frames before and behind a pause that count as around it."""

LONGEST_LOOP = 45
"""Seconds; shortest is two."""


class Speech(NamedTuple):
    """A recording: name, features, and phones where known."""

    name: str
    features: SpeechFeatures
    phones: Phones | None


def load(paths: Sequence[Path], pipeline: TalkingHeadPipeline) -> list[Speech]:
    """Features of recordings."""
    encoder, found = load_speech_encoder(), []
    for path in paths:
        features = extract_features(path, encoder, lip_encoder=pipeline.lip_audio)
        beside = path.with_suffix(".phones")
        found.append(Speech(path.stem, features, read_phones(beside) if beside.is_file() else None))
    return found


def moved(pipeline: TalkingHeadPipeline, speech: SpeechFeatures) -> FaceMotion:
    """The motion of a recording, strengths applied."""
    parts = [motion.to_array() for motion in pipeline.motion(speech, speech.num_frames)]
    return FaceMotion.from_array(np.concatenate(parts))


def best_lag(sound: np.ndarray, motion: np.ndarray) -> float:
    """Largest correlation over `LAGS`; of chance it is a little above 0."""
    length = len(sound)
    return max(
        correlation(
            sound[max(0, -lag) : length - max(0, lag)],
            motion[max(0, lag) : length - max(0, -lag)],
        )
        for lag in LAGS
    )


def blink_starts(motion: FaceMotion) -> np.ndarray:
    """Frames in which both lids pass half closed."""
    shut = motion.lids.min(1) > 0.5
    return np.flatnonzero(shut[1:] & ~shut[:-1]) + 1


def around_pauses(features: np.ndarray) -> np.ndarray:
    """Which frames lie in or around a pause of 200 ms and more, (T,)."""
    silent = features[:, 0].reshape(-1, 2).mean(1) > 0.5
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent.astype(int), [0]])))
    near = np.zeros(len(silent), bool)
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin >= 5:
            near[max(0, begin - AROUND[0]) : end + AROUND[1]] = True
    return near


def against_speech(motion: FaceMotion, features: np.ndarray, basis: FaceBasis) -> dict[str, float]:
    """How head and brows go with loudness and pitch."""
    loud, pitch = (
        spread(features[:, column].reshape(-1, 2).mean(1), SMOOTH) for column in (LOUDNESS, PITCH)
    )
    speed = np.linalg.norm(np.diff(motion.rotation, axis=0, prepend=motion.rotation[:1]), axis=1)
    nod = motion.rotation[:, 0] - spread(motion.rotation[:, 0], SLOW)
    brow = brow_height(motion.expression, basis)
    raised = brow - spread(brow, SLOW)
    turn = np.degrees(motion.rotation.std(0))
    return {
        "head speed": best_lag(loud, spread(speed, SMOOTH)),
        "nods": best_lag(loud, nod),
        "brows": best_lag(loud, raised),
        "brows, pitch": best_lag(pitch, raised),
        "pitch deg": float(turn[0]),
        "yaw deg": float(turn[1]),
        "roll deg": float(turn[2]),
        "brow, %": 100 * float(brow.std()),
    }


def loops(motion: FaceMotion) -> float:
    """Largest correlation of pitch, yaw or roll with itself later, over lags from 2 s on."""
    found = []
    for row in motion.rotation.T:
        most = min(len(row) // 2, LONGEST_LOOP * MOTION_FPS)
        found += [correlation(row[:-lag], row[lag:]) for lag in range(2 * MOTION_FPS, most)]
    return max(found)


def table(rows: dict[str, dict[str, float]], digits: int = 2) -> str:
    """Rows as Markdown."""
    columns = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = [f"{row[column]:.{digits}f}" for column in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means of the numbers that rows have; those that none has are left out."""
    known = {key: [row[key] for row in rows if not np.isnan(row[key])] for key in rows[0]}
    return {key: float(np.mean(values)) for key, values in known.items() if values}


def with_settings(pipeline: TalkingHeadPipeline, **changed: object) -> TalkingHeadPipeline:
    """A pipeline of other settings with the same networks."""
    settings = RenderSettings.model_validate({**pipeline.settings.model_dump(), **changed})
    return TalkingHeadPipeline(settings, pipeline.networks)


def measure_speech(pipeline: TalkingHeadPipeline, speeches: list[Speech], seeds: int) -> str:
    """The `speech` part."""
    rows, alike, lips = {}, [], []
    blinks, frames = np.zeros(2), np.zeros(2)
    for speech in speeches:
        near = around_pauses(speech.features.array)
        made = [moved(with_settings(pipeline, seed=seed), speech.features) for seed in range(seeds)]
        parts = [against_speech(motion, speech.features.array, pipeline.basis) for motion in made]
        rows[speech.name] = mean_of(parts)
        for motion in made:
            starts = blink_starts(motion)
            blinks += near[starts].sum(), (~near[starts]).sum()
            frames += near.sum(), (~near).sum()
        for one, other in itertools.combinations(made, 2):
            turns = zip(one.rotation.T, other.rotation.T, strict=True)
            alike.append(np.mean([correlation(a, b) for a, b in turns]))
            gaps = (pipeline.basis.lip_gap(motion.expression) for motion in (one, other))
            lips.append(correlation(*gaps))
    rows["mean"] = mean_of(list(rows.values()))
    joined = np.concatenate([speech.features.array for speech in speeches])
    whole = SpeechFeatures(joined, len(joined) / 50)
    again = [loops(moved(with_settings(pipeline, seed=seed), whole)) for seed in range(seeds)]
    rates = blinks / np.maximum(frames, 1) * 60 * MOTION_FPS
    return "\n".join(
        [
            table(rows),
            f"blinks a minute around pauses {rates[0]:.1f}, in speech {rates[1]:.1f}",
            f"seeds: head {np.mean(alike):.2f} (largest {np.max(alike):.2f}), lips {np.min(lips):.3f} at least",
            f"largest return within {len(joined) / 50:.0f} s: "
            + ", ".join(f"{x:.2f}" for x in again),
        ]
    )


def by_phones(motion: FaceMotion, speech: Speech, basis: FaceBasis) -> dict[str, float]:
    """Closures, openings and correlation with the phones, the opening, and the head."""
    assert speech.phones is not None
    found = score_phones(basis.lip_gap(motion.expression), speech.phones)
    brow = 100 * float(brow_height(motion.expression, basis).std())
    turn = float(np.degrees(motion.rotation.std(0)).mean())
    kept = {key: found[key] for key in ("closure", "open", "corr", "p95", "silence")}
    return kept | {"head deg": turn, "brow, %": brow}


def measure_variants(
    pipeline: TalkingHeadPipeline,
    speeches: list[Speech],
    seeds: int,
    variants: dict[str, dict[str, object]],
    pick: Callable[[TalkingHeadPipeline], None] = lambda _: None,
) -> str:
    """A row for each set of settings, over recordings with phones."""
    known = [speech for speech in speeches if speech.phones is not None]
    if not known:
        sys.exit("give recordings with a .phones file beside them")
    rows = {}
    for name, changed in variants.items():
        parts = []
        for speech, seed in itertools.product(known, range(seeds)):
            other = with_settings(pipeline, seed=seed, **changed)
            pick(other)
            parts.append(by_phones(moved(other, speech.features), speech, pipeline.basis))
        rows[name] = mean_of(parts)
    return table(rows, 3)


def network_alone(pipeline: TalkingHeadPipeline) -> None:
    """Let lips follow the network only: no guide. Closures stay constrained."""
    parts = replace(pipeline.generator.parts, guide=None)
    pipeline.generator.parts = parts


def distance(one: StyleStatistics, other: StyleStatistics) -> float:
    """Mean absolute difference of what style is, each in octaves, or in units that are plain to see."""
    ratios = [
        *np.log2(np.maximum(one.turn, 1e-3) / np.maximum(other.turn, 1e-3)),
        *np.log2(np.maximum(one.speed, 1e-3) / np.maximum(other.speed, 1e-3)),
        np.log2(max(one.blinks, 3.0) / max(other.blinks, 3.0)),
        np.log2(max(one.brows, 1e-4) / max(other.brows, 1e-4)),
        np.log2(max(one.face, 1e-3) / max(other.face, 1e-3)),
        np.log2(max(one.openings[0], 1e-2) / max(other.openings[0], 1e-2)),
    ]
    return float(np.abs(ratios).mean())


def measure_styles(
    pipeline: TalkingHeadPipeline, speeches: list[Speech], seeds: int, clips: Sequence[Path]
) -> str:
    """The `styles` part: rows are what spoke, columns the clips that it is compared with."""
    plain = with_settings(pipeline, pose_scale=1.0, expression_scale=1.0)
    wanted = {clip.stem: load_style(clip) for clip in clips}
    rows: dict[str, dict[str, float]] = {}
    for name in ["no style", *wanted]:
        parts = []
        for seed in range(seeds):
            other = with_settings(plain, seed=seed)
            if name in wanted:
                other.perform_as(wanted[name].learnt_by(other))
            motions = [moved(other, speech.features).to_array() for speech in speeches]
            motion = FaceMotion.from_array(np.concatenate(motions))
            made = StyleStatistics.of(motion, pipeline.basis)
            columns = {stem: distance(made, clip.statistics) for stem, clip in wanted.items()}
            columns |= {
                "turn deg": float(np.degrees(made.turn).mean()),
                "speed deg/s": float(np.degrees(made.speed).mean()),
                "blinks": made.blinks,
                "opening": made.openings[0],
            }
            parts.append(columns)
        rows[name] = mean_of(parts)
    return table(rows)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("part", choices=("speech", "guidance", "emotion", "styles"))
    parser.add_argument("speech", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--preset", default=None)
    parser.add_argument("--clips", nargs="+", type=Path, default=[])
    given = parser.parse_args()
    pipeline = TalkingHeadPipeline(resolve_settings(given.preset, {"device": "cpu"}))
    speeches = load(given.speech, pipeline)
    if given.part == "speech":
        found = measure_speech(pipeline, speeches, given.seeds)
    elif given.part == "guidance":
        scales = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
        variants: dict[str, dict[str, object]] = {
            f"{scale:g}": {"guidance_scale": scale} for scale in scales
        }
        found = measure_variants(pipeline, speeches, given.seeds, variants)
        found += "\n\nwithout the lip guide\n\n"
        found += measure_variants(pipeline, speeches, given.seeds, variants, network_alone)
    elif given.part == "emotion":
        variants = {name: {"emotion": name, "emotion_strength": 1.0} for name in EMOTIONS}
        found = measure_variants(pipeline, speeches, given.seeds, variants)
    else:
        found = measure_styles(pipeline, speeches, given.seeds, given.clips)
    sys.stdout.write(found + "\n")


if __name__ == "__main__":
    main()
