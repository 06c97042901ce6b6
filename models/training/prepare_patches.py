"""Stage 3: training pairs of the refiner: a clip's frame warped on to another frame's mesh, and that frame's truth.

Writes ``WORK/patches/<mouth|eyes>_<train|held>.npz``: uint8 arrays ``skin inside hole truth region`` (N, 2, h, w, ...)
of a target frame and the frame behind it (for temporal consistency), ``source source_hole`` (N, h, w, ...) of the frame
that they are warped from, ``person`` (index into ``people``) and ``research`` (its tier). Pairs of one clip only; heads
turned by more than 30 degrees, or by more than 15 between the two frames, are left out. Eye pairs oversample blinks.
``--suffix`` keeps another choice of tiers apart.

Launch (1 core, about 6 minutes)::

    python models/training/prepare_patches.py --data DATA --work data/train
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path

import cv2
import numpy as np
from splits import SINGLE_SPEAKER, is_held_out, name_hash

from talkhead_models.basis import FaceBasis, Pose, fit_pose
from talkhead_models.patches import (
    EYES,
    MOUTH,
    PatchSource,
    PatchSpec,
    crop_patch,
    dark_of,
    patch_frame,
    warp_patch,
)
from talkhead_models.topology import (
    ABOVE_LIDS,
    BELOW_LIDS,
    LOWER_OUTER_LIP,
    OUTER_CORNERS,
    UPPER_OUTER_LIP,
)
from talkhead_models.warp import coverage, transform

log = logging.getLogger("prepare_patches")

OUTER_LIPS = (OUTER_CORNERS[0], *UPPER_OUTER_LIP, OUTER_CORNERS[1], *reversed(LOWER_OUTER_LIP))
EYE_RINGS = tuple((*ABOVE_LIDS[eye], *reversed(BELOW_LIDS[eye])) for eye in (0, 1))
NAMES = ("skin", "inside", "hole", "truth", "region", "source", "source_hole", "person", "research")
REGIONS = {"mouth": (OUTER_LIPS,), "eyes": EYE_RINGS}
"""Polygons in which errors are reported and weighted: the whole mouth, the eyes with their lids."""


def read_frames(path: Path) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))


def pick_pairs(
    motion, usable: np.ndarray, count: int, spec: PatchSpec, random
) -> list[tuple[int, int]]:
    """(source, target) frame indices: sources anywhere (open mouths too), targets spread over the range of motion."""
    indices = np.flatnonzero(usable)
    # The frame behind a target is used too.
    targets = np.flatnonzero(usable[:-1] & usable[1:])
    if not len(targets):
        return []
    yaw = motion["yaw"]
    if spec is MOUTH:
        weight = 0.02 + np.maximum(motion["gap"][targets], 0)
    else:
        weight = 0.08 + np.clip(motion["array"][targets, 32:34].mean(1), 0, 1)
    pairs = []
    for target in random.choice(targets, size=count * 2, p=weight / weight.sum()):
        source = random.choice(indices)
        if abs(int(source) - int(target)) >= 3 and abs(yaw[source] - yaw[target]) < 15:
            pairs.append((int(source), int(target)))
    return pairs[:count]


def make_pair(
    spec: PatchSpec, frames, mesh, neutral, gaze, basis: FaceBasis, source: int, target: int
):
    """One sample: the arrays of `NAMES`."""
    numbers = (source, target, target + 1)
    poses = fit_pose(mesh[list(numbers)], neutral)
    framing = [patch_frame(spec, neutral, Pose(*(value[i] for value in poses))) for i in range(3)]
    origin = PatchSource(
        frames[source], mesh[source], framing[0], dark_of(frames[source], mesh[source])
    )
    to_bytes = lambda mask: np.rint(mask * 255).astype(np.uint8)  # noqa: E731
    size = (spec.width, spec.height)
    series = []
    for number, frame in zip(numbers[1:], framing[1:], strict=True):
        change = gaze[number] - gaze[source]
        patch = warp_patch(spec, origin, mesh[number], frame, basis.triangles, change)
        outlines = [transform(mesh[number][list(o), :2], frame) for o in REGIONS[spec.name]]
        region = np.max([coverage(outline, size) for outline in outlines], 0)
        truth = crop_patch(spec, frames[number], frame)
        series.append((patch.skin, patch.inside, to_bytes(patch.hole), truth, to_bytes(region)))
    points = transform(mesh[source][:, :2], framing[0])
    source_hole = np.max([coverage(points[list(hole)], size) for hole in spec.holes], 0)
    own = crop_patch(spec, frames[source], framing[0])
    return (*(np.stack(pair) for pair in zip(*series, strict=True)), own, to_bytes(source_hole))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument(
        "--per-person",
        type=int,
        default=420,
        help="training pairs of a person; the bulk speaker gets 4x",
    )
    parser.add_argument("--held-per-person", type=int, default=24)
    parser.add_argument("--tiers", default="permissive", help="tiers to train on, comma separated")
    parser.add_argument("--suffix", default="", help="of the written files' names")
    parser.add_argument("--kinds", default="mouth,eyes")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    basis = FaceBasis.load()
    tiers = args.tiers.split(",")

    with (args.data / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    by_person: dict[str, list[dict]] = {}
    for row in rows:
        row["stem"] = Path(row["file"]).stem
        row["held"] = is_held_out(row["person"])
        if (row["tier"] in tiers or row["held"]) and (
            args.work / "motion" / f"{row['stem']}.npz"
        ).exists():
            by_person.setdefault(row["person"], []).append(row)

    out = args.work / "patches"
    out.mkdir(parents=True, exist_ok=True)
    specs = [spec for spec in (MOUTH, EYES) if spec.name in args.kinds.split(",")]
    store = {(spec.name, held): [] for spec in specs for held in (False, True)}
    people: list[str] = []
    for person, clips in by_person.items():
        held = clips[0]["held"]
        total = (
            args.held_per_person
            if held
            else args.per_person * (4 if person == SINGLE_SPEAKER else 1)
        )
        clips = sorted(clips, key=lambda row: name_hash(row["stem"]))[
            : 60 if person == SINGLE_SPEAKER else 8
        ]
        people.append(person)
        for row in clips:
            random = np.random.default_rng([args.seed, name_hash(row["stem"]) % 2**32])
            with np.load(args.work / "motion" / f"{row['stem']}.npz") as file:
                motion = dict(file)
            with np.load(args.work / "mesh" / f"{row['stem']}.npz") as file:
                mesh = file["mesh"]
            usable = motion["ok"] & (np.abs(motion["yaw"]) < 30)
            if usable.sum() < 15:
                continue
            frames = read_frames(args.data / "clips" / row["file"])
            usable[len(frames) :] = False
            gaze = motion["array"][:, 34:36]
            for spec in specs:
                count = max(1, round(total / len(clips)))
                for source, target in pick_pairs(motion, usable, count, spec, random):
                    pair = make_pair(
                        spec, frames, mesh, motion["neutral"], gaze, basis, source, target
                    )
                    store[spec.name, held].append(
                        (*pair, len(people) - 1, row["tier"] == "research")
                    )
        log.info("%s: %s", person, {key: len(value) for key, value in store.items()})
    for (kind, held), pairs in store.items():
        arrays = {name: np.array([pair[i] for pair in pairs]) for i, name in enumerate(NAMES)}
        np.savez(
            out / f"{kind}_{'held' if held else 'train'}{args.suffix}.npz",
            people=np.array(people),
            **arrays,
        )


if __name__ == "__main__":
    main()
