"""Render people who were held out of training and compare with their real frames.

DATA is a folder with ``clips.csv`` (columns file, person, tier, speech, real) and ``clips/``. Of each held-out person
one clip is taken, the most neutral frame of its first second is the portrait, and a few seconds are rendered twice:

* with their own motion, as ``talkhead render --drive`` measures it, with the refiners and without ("warp only": the
  portrait's pixels carried along the mesh, the mouth a dark hole);
* with motion generated from their own speech, where there is speech;
* with ``--codes``, once more with their own motion and other appearance codes: none, the real frame's, the speech's.

Frames are compared before encoding. Definitions: docs/benchmarks.md.

Launch (2 cores, about 5 minutes)::

    python benchmarks/heldout.py DATA
    python benchmarks/heldout.py DATA --clips 8 --json
    python benchmarks/heldout.py DATA --codes
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from comparison import Filmed, compare, face_frames, lip_table, track_images

from talkhead_cli.audio import extract_features
from talkhead_cli.drive import ClipReader, add_appearance, has_appearance, measure, track
from talkhead_cli.errors import TalkheadError
from talkhead_cli.face import Portrait, get_backend, make_portrait, select_face
from talkhead_cli.face.portrait import check_face
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.playback import MotionSource
from talkhead_cli.render import speech_encoder
from talkhead_cli.settings import resolve_settings
from talkhead_models.basis import FaceBasis, lip_gaps, rotation_angles
from talkhead_models.motion import FaceMotion
from talkhead_models.rig import FaceRig
from talkhead_models.tracking import relative_to_frame

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from splits import is_held_out, name_hash

log = logging.getLogger("heldout")

FPS = Fraction(25)
TIERS = ("permissive", "research")
FIRST_SECOND = 25
MOST_TURN = np.radians(20)
"""Portraits look at the camera: beyond this turn a frame is not taken for one."""

OWN_MOTION = {
    "mouth_l1_warp": ("mouth L1, warp only", ""),
    "mouth_l1": ("mouth L1, refined", ""),
    "mouth_l1_ratio": ("ratio", "<= 0.45"),
    "mouth_l1_open_warp": ("mouth L1, open mouths, warp only", ""),
    "mouth_l1_open": ("mouth L1, open mouths, refined", ""),
    "mouth_l1_open_ratio": ("ratio, open mouths", ""),
    "sharpness_ratio": ("mouth sharpness / real", "0.80 to 1.20"),
    "flicker_ratio": ("mouth flicker / real", "<= 1.2"),
    "mouth_ssim_warp": ("mouth SSIM, warp only", ""),
    "mouth_ssim": ("mouth SSIM, refined", ""),
    "landmarks_mouth": ("landmark distance, lips", ""),
    "landmarks_face": ("landmark distance, face", ""),
    "gap_correlation": ("correlation of lip opening with the real one", ""),
}
OWN_SPEECH = {
    "closure_recall": ("closure recall on p, b, m", ">= 0.90"),
    "real_closure_recall": ("  the real person", ""),
    "open_vowel_recall": ("open-vowel recall", ">= 0.90"),
    "real_open_vowel_recall": ("  the real person", ""),
    "openness_correlation": ("correlation of lip opening with visemes", ">= 0.50"),
    "real_openness_correlation": ("  the real person", ""),
    "gap_correlation": ("correlation of lip opening with the real one", ""),
    "opening_ratio": ("lip opening (95th percentile) / real", ""),
    "mouth_rest": ("rest in pauses", "<= 0.12"),
    "sharpness_ratio": ("mouth sharpness / real", "0.80 to 1.20"),
    "flicker_ratio": ("mouth flicker / real", "<= 1.2"),
    "head_motion_ratio": ("head motion / real", ""),
}
CODES = {
    "mouth_l1_open": ("open mouths: mouth L1", ""),
    "mouth_l1": ("mouth L1", ""),
    "sharpness_ratio": ("mouth sharpness / real", ""),
    "flicker_ratio": ("mouth flicker / real", ""),
}
COUNTED = {
    "closure_recall": "num_closures",
    "open_vowel_recall": "num_open_vowels",
    "mouth_l1_open": "num_open",
    "mouth_l1_open_warp": "num_open",
}
"""What a clip may have little of is averaged over its pieces, not over clips."""

OF_THE_WARP = ("mouth_l1", "mouth_l1_open", "mouth_ssim")

Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A held-out person's clip, ready to be rendered.

    Attributes:
        portrait: made from one frame of the clip.
        first: number of that frame.
        motion: of the clip from that frame on, pose relative to it.
        real: the clip's frames from there on.
    """

    portrait: Portrait
    first: int
    motion: FaceMotion
    real: Filmed


def held_out_clips(data: Path, count: int) -> list[dict[str, str]]:
    """One real clip a held-out person, spoken ones first, the tiers in turn, the same ones every time."""
    with (data / "clips.csv").open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if is_held_out(row["person"]) and row["real"] == "yes"
        ]
    rows.sort(key=lambda row: (row["speech"] != "yes", name_hash(row["file"])))
    people: dict[str, dict[str, str]] = {}
    for row in rows:
        people.setdefault(row["person"], row)
    queues = [[row for row in people.values() if row["tier"] == tier] for tier in TIERS]
    chosen: list[dict[str, str]] = []
    while len(chosen) < count and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue]
    return chosen[:count]


def most_neutral(gaps: np.ndarray, lids: np.ndarray, turns: np.ndarray, tracked: np.ndarray) -> int:
    """The frame with the most closed lips among those that could be a portrait; -1 where there is none.

    Args:
        gaps: (T,) inner-lip gap.
        lids: (T, 2) closure.
        turns: (T, 2) pitch and yaw in radians, towards the camera = 0.
        tracked: (T,) where a face is seen.
    """
    usable = tracked & (lids.max(1) < 0.3) & (np.abs(turns).max(1) < MOST_TURN)
    usable[FIRST_SECOND:] = False
    return int(np.argmin(np.where(usable, gaps, np.inf))) if usable.any() else -1


def prepare(path: Path, seconds: float) -> Subject | None:
    """Track a clip and make the portrait; None where no frame of the first second can be one.

    Raises:
        TalkheadError: the clip cannot be used.
    """
    with ClipReader(path, FPS, 0.0, seconds + FIRST_SECOND / 25) as reader:
        images = [trim(image) for image in reader]
    meshes, tracked = track(path, iter(images))
    found = measure(path, meshes, tracked, FPS)
    motion = found.motion
    if has_appearance():
        motion, _ = add_appearance(found, iter(images), meshes, tracked)
    gaps = np.abs(lip_gaps(found.poses.invert(meshes))).mean(1)
    turns = rotation_angles(found.poses.rotation)[:, :2]
    first = most_neutral(gaps, motion.lids, turns, tracked)
    if first < 0:
        return None
    face = select_face(get_backend().detect(images[first]), "largest", path.name)
    check_face(face, images[first].shape, path.name)
    portrait = make_portrait(images[first], face.mesh)
    part = slice(first, first + round(seconds * 25))
    real = Filmed(images[part], meshes[part], tracked[part])
    motion = with_own_neutral(portrait, relative_to_frame(motion, first), first)
    return Subject(portrait, first, motion[part], real)


def with_own_neutral(portrait: Portrait, motion: FaceMotion, frame: int) -> FaceMotion:
    """The motion with the rig's guess at the portrait's neutral face put right: the clip tells what face it makes.

    Args:
        portrait: taken from the clip.
        motion: of the clip.
        frame: that the portrait is.
    """
    basis = FaceBasis.load()
    rig = FaceRig.fit(portrait.mesh, basis)
    shown = basis.deltas(motion.expression[frame : frame + 1])[0]
    missing = basis.project((rig.pose.invert(rig.mesh) - shown - rig.neutral)[None])
    return replace(motion, expression=motion.expression + missing)


def trim(image: np.ndarray) -> np.ndarray:
    """The picture with even sides."""
    height, width = image.shape[:2]
    return image[: height // 2 * 2, : width // 2 * 2]


def render(
    pipeline: TalkingHeadPipeline, subject: Subject, source: MotionSource, count: int
) -> list[np.ndarray]:
    """`count` frames of the subject's portrait."""
    return [frame for chunk in pipeline.render(subject.portrait, source, count) for frame in chunk]


def without_refiners(pipeline: TalkingHeadPipeline) -> TalkingHeadPipeline:
    """The same pipeline, the mouth left as the warp leaves it."""
    bare = copy.copy(pipeline)
    bare.networks = replace(pipeline.networks, refiners={}, detail=None)
    return bare


def own_motion(pipeline: TalkingHeadPipeline, subject: Subject) -> Row:
    """Measures of the portrait driven by the clip it was taken from."""
    count = len(subject.real.images)
    refined = track_images(render(pipeline, subject, [subject.motion], count))
    warped = render(without_refiners(pipeline), subject, [subject.motion], count)
    real, ours = face_frames(subject.real), face_frames(refined, subject.real)
    # Both have the same geometry: what the tracker makes of the dark hole is left out.
    bare = [frame._replace(image=image) for frame, image in zip(ours, warped, strict=True)]
    row, below = compare(ours, real), compare(bare, real)
    return {**row, **{f"{name}_warp": below[name] for name in OF_THE_WARP}}


def own_speech(pipeline: TalkingHeadPipeline, subject: Subject, path: Path) -> Row:
    """Measures of the portrait with motion generated from the clip's speech."""
    features = extract_features(path, speech_encoder("cpu"), 600.0, pipeline.lip_audio)
    count = subject.first + len(subject.real.images)
    features = replace(features, array=features.array[: 2 * count])
    # Rendered from the clip's beginning on, as the generator knows no other; judged where there are real frames.
    images = render(pipeline, subject, features, count)[subject.first :]
    generated = track_images(images)
    real, ours = face_frames(subject.real), face_frames(generated, subject.real)
    row = compare(ours, real)
    heard = replace(features, array=features.array[2 * subject.first :])
    row.update(lip_table(ours, heard))
    row.update({f"real_{key}": value for key, value in lip_table(real, heard).items()})
    return row


def other_codes(
    driven: TalkingHeadPipeline, spoken: TalkingHeadPipeline, subject: Subject, path: Path
) -> Iterator[Row]:
    """Measures of the same motion with no appearance code, the real frames', and the one generated from the speech."""
    count, motion = len(subject.real.images), subject.motion
    features = extract_features(path, speech_encoder("cpu"), 600.0, spoken.lip_audio)
    frames = subject.first + count
    features = replace(features, array=features.array[: 2 * frames])
    spoken_codes = [part.appearance for part in spoken.motion(features, frames)]
    told = np.concatenate(spoken_codes)[subject.first : frames]
    told = np.concatenate([told, np.repeat(told[-1:], motion.num_frames - len(told), 0)])
    codes = {"none": np.zeros_like(told), "real frame": motion.appearance, "speech": told}
    for name, code in codes.items():
        images = render(driven, subject, [replace(motion, appearance=code)], count)
        ours = face_frames(track_images(images), subject.real)
        yield {"code": name, **compare(ours, face_frames(subject.real))}


def measure_clips(args: argparse.Namespace) -> Iterator[Row]:
    """One row a clip and kind of motion."""
    driven = TalkingHeadPipeline(resolve_settings(args.preset, {"device": "cpu"}, driven=True))
    spoken = TalkingHeadPipeline(resolve_settings(args.preset, {"device": "cpu"}))
    for clip in held_out_clips(args.data, args.clips):
        path = args.data / "clips" / clip["file"]
        about = {"clip": path.stem, "tier": clip["tier"]}
        try:
            subject = prepare(path, args.seconds)
            if subject is None:
                log.warning("%s: no frame of the first second can be a portrait", path.name)
                continue
            yield {**about, "motion": "own", **own_motion(driven, subject)}
            if clip["speech"] == "yes":
                yield {
                    **about,
                    "motion": "speech",
                    **own_speech(spoken, subject, path),
                }
            if clip["speech"] == "yes" and args.codes:
                for row in other_codes(driven, spoken, subject, path):
                    yield {**about, "motion": "codes", **row}
        except TalkheadError as error:
            log.warning("%s", error)


def means(rows: Sequence[Row], names: Sequence[str]) -> dict[str, float]:
    """Means over the rows that have a value; ratios of L1 are ratios of means, as in training."""
    found = {}
    for name in names:
        counter = COUNTED.get(name.removeprefix("real_"))
        known = [row for row in rows if row.get(name) is not None]
        weights = [1.0 if counter is None else row[counter] for row in known]
        if sum(weights):
            found[name] = float(np.average([row[name] for row in known], weights=weights))
    for name in ("mouth_l1", "mouth_l1_open"):
        if f"{name}_warp" in found:
            found[f"{name}_ratio"] = found[name] / found[f"{name}_warp"]
    return found


def summarise(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """Means by kind of motion and by tier, the number of clips among them."""
    tables: dict[str, dict[str, dict[str, float]]] = {}
    for motion, names in (("own", OWN_MOTION), ("speech", OWN_SPEECH)):
        chosen = [row for row in rows if row["motion"] == motion]
        parts = {tier: [row for row in chosen if row["tier"] == tier] for tier in TIERS}
        tables[motion] = {
            name: {"clips": len(part), **means(part, list(names))}
            for name, part in {**parts, "all": chosen}.items()
            if part
        }
    coded = [row for row in rows if row["motion"] == "codes"]
    if coded:
        tables["codes"] = {
            name: {"clips": len(part), **means(part, list(CODES))}
            for name in dict.fromkeys(row["code"] for row in coded)
            if (part := [row for row in coded if row["code"] == name])
        }
    return tables


def print_table(
    title: str, names: dict[str, tuple[str, str]], table: dict[str, dict[str, float]]
) -> None:
    print(f"\n{title}: " + ", ".join(f"{int(v['clips'])} {k}" for k, v in table.items()))
    print(f"{'mean':46}" + "".join(f"{tier:>12}" for tier in table) + "   target")
    for name, (words, target) in names.items():
        cells = [f"{part[name]:12.4f}" if name in part else f"{'-':>12}" for part in table.values()]
        print(f"{words:46}" + "".join(cells) + f"   {target}".rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with clips.csv and clips/")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--preset")
    parser.add_argument("--codes", action="store_true", help="compare appearance codes too")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    started, rows = time.perf_counter(), []
    for row in measure_clips(args):
        rows.append(row)
        if not args.json:
            shown = (row.get("mouth_l1"), row.get("mouth_l1_warp"), row["gap_correlation"])
            cells = " ".join(f"{value:7.4f}" if value is not None else "      -" for value in shown)
            print(f"{row['motion']:7} {cells}  {row['clip'][:60]}", flush=True)
    tables = summarise(rows)
    if args.json:
        print(json.dumps({"tables": tables, "rows": rows}, indent=1))
        return
    print_table("Own motion", OWN_MOTION, tables["own"])
    print_table("Own speech", OWN_SPEECH, tables["speech"])
    if "codes" in tables:
        print_table("Own motion, appearance code from", CODES, tables["codes"])
    print(f"\n{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
