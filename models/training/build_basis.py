"""Stage 2: the face basis and the motion of every clip, from the tracked meshes of stage 1.

Writes the bundle ``face-basis`` (mean face, expression basis, identity basis, triangles; permissive tier only) and
``WORK/motion/<clip>.npz`` for each clip: ``array`` (T, 42) float32 as FaceMotion, ``ok`` (T,) bool, ``gap`` (T,) the
measured inner-lip gap, ``neutral`` (478, 3) the person's canonical face with closed lips, ``yaw`` (T,)
absolute degrees.

Launch (2 cores, about 3 minutes)::

    python models/training/build_basis.py --data DATA --work data/train
"""

from __future__ import annotations

import argparse
import csv
import logging
from pathlib import Path

import numpy as np
import torch
from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION
from scipy.optimize import linear_sum_assignment
from splits import is_held_out

from talkhead_models import topology as topo
from talkhead_models.basis import FaceBasis, fit_pose, lip_gaps, point_weights, rotation_angles
from talkhead_models.bundle import save_bundle
from talkhead_models.motion import EXPRESSION_SIZE
from talkhead_models.tracking import CanonicalClip, canonicalise, measure, smooth

log = logging.getLogger("build_basis")
IDENTITY_SIZE = 20


def triangles() -> np.ndarray:
    """The 854 triangles: 3-cycles of the tesselation's edges; the holes of mouth and eyes have no edges inside."""
    neighbours: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    found = {
        tuple(sorted((a, b, c)))
        for a, b in FACEMESH_TESSELATION
        for c in neighbours[a] & neighbours[b]
    }
    return np.array(sorted(found), np.int32)


def mirror_points(mean: np.ndarray) -> np.ndarray:
    """Partner of each point on the other half of the face, by closest-point registration of the flipped mean."""
    flipped = mean * np.array([-1, 1, 1], np.float32)
    moved = flipped
    for _ in range(30):
        distance = np.linalg.norm(moved[:, None] - mean[None], axis=-1)
        distance = distance + distance.T
        partner = linear_sum_assignment(distance)[1]
        source, target = flipped - flipped.mean(0), mean[partner] - mean.mean(0)
        u, _, vt = np.linalg.svd(target.T @ source)
        moved = source @ (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T + mean.mean(0)
    return partner.astype(np.int32)


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as file:
        mesh, tracked = file["mesh"], file["tracked"]
    if tracked.any():
        mesh[: tracked.argmax()] = mesh[tracked.argmax()]
    return mesh, tracked


def mean_shape(meshes: list[np.ndarray], partner: np.ndarray | None) -> np.ndarray:
    """Generalised Procrustes mean of neutral meshes, made symmetric, unit outer-eye distance."""
    mean = meshes[0] - meshes[0][list(topo.STABLE)].mean(0)
    for _ in range(6):
        stack = np.stack(meshes)
        mean = fit_pose(stack, mean).invert(stack).mean(0)
        # Upright and frontal: the mean of many people is nearly so; the eye line and symmetry fix the rest.
        if partner is not None:
            mean = (mean + mean[partner] * np.array([-1, 1, 1], np.float32)) / 2
        mean -= mean[list(topo.STABLE)].mean(0)
        mean /= np.linalg.norm(mean[topo.OUTER_EYES[0]] - mean[topo.OUTER_EYES[1]])
    return mean.astype(np.float32)


def weighted_pca(data: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    """Directions (size, 478, 3) of one standard deviation of `data` (N, 478, 3), found in the weighted space.

    Points of weight zero get no displacement; the others' displacements are regressed on the scores, unweighted.
    """
    flat = (data * weights[:, None]).reshape(len(data), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(flat.T @ flat / len(flat))
    order = np.argsort(values)[::-1][:size]
    scores = flat @ vectors[:, order]
    scores /= scores.std(0)
    basis = np.linalg.lstsq(scores, data.reshape(len(data), -1), rcond=None)[0].reshape(size, -1, 3)
    basis[:, weights == 0] = 0
    log.info(
        "explained by %d of %d directions: %.4f",
        size,
        len(values),
        values[order].sum() / values.sum(),
    )
    return basis.astype(np.float32)


def motion_of(clip: CanonicalClip, ok: np.ndarray, basis: FaceBasis) -> dict[str, np.ndarray]:
    """What is stored of one clip. Lost frames stay as the tracker repeated them: training leaves them out."""
    return {
        "array": smooth(measure(clip, ok, basis)).astype(np.float32),
        "ok": ok,
        "gap": (clip.meshes[:, 14, 1] - clip.meshes[:, 13, 1]).astype(np.float32),
        "neutral": clip.neutral.astype(np.float32),
        "yaw": np.degrees(rotation_angles(clip.poses.rotation)[:, 1]).astype(np.float32),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument(
        "--out", type=Path, default=Path("models/talkhead_models/weights/face-basis.safetensors")
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    random = np.random.default_rng(args.seed)

    with (args.data / "clips.csv").open(newline="") as file:
        rows = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    paths = {name: args.work / "mesh" / f"{name}.npz" for name in rows}
    paths = {name: path for name, path in paths.items() if path.exists()}

    # --- Mean face, from one neutral mesh a person (permissive tier) -------------------------------------------------
    train = [
        n for n in paths if rows[n]["tier"] == "permissive" and not is_held_out(rows[n]["person"])
    ]
    one_each = {rows[n]["person"]: n for n in train}
    rough = []
    for name in one_each.values():
        mesh, ok = load(paths[name])
        if ok.sum() > 20:
            rough.append(mesh[ok][np.argsort(np.abs(lip_gaps(mesh[ok])).mean(1))[:5]].mean(0))
    partner = mirror_points(mean_shape(rough, None))
    if not np.array_equal(partner[partner], np.arange(topo.NUM_POINTS)):
        raise SystemExit(
            "the mirror map of the mesh is not an involution: too few or too slanted faces"
        )
    mean = mean_shape(rough, partner)
    log.info("mean face of %d people", len(rough))

    # --- Neutral of each clip; deltas of training clips --------------------------------------------------------------
    clips, tracked = {}, {}
    for name, path in paths.items():
        mesh, ok = load(path)
        if ok.sum() < 20:
            continue
        clips[name], tracked[name] = canonicalise(mesh, ok, mean), ok
    flip = np.array([-1, 1, 1], np.float32)
    deltas, faces = [], []
    bulk = [n for n in train if n in clips and rows[n]["person"] == "grid_s1"]
    others = [n for n in train if n in clips and rows[n]["person"] != "grid_s1"]
    chosen_bulk = random.permutation(bulk)[:150] if bulk else []
    for name in [*others, *chosen_bulk]:
        ok = tracked[name] & (
            np.abs(np.degrees(rotation_angles(clips[name].poses.rotation)[:, 1])) < 25
        )
        delta = (clips[name].meshes - clips[name].neutral)[ok]
        keep = random.permutation(len(delta))[: 150 if name in others else 25]
        deltas += [delta[keep], delta[keep][:, partner] * flip]
    for _person, name in one_each.items():
        if name in clips:
            faces += [clips[name].neutral, clips[name].neutral[partner] * flip]
    stack = np.concatenate(deltas)
    log.info("%d deltas of %d clips", len(stack), len(others) + len(chosen_bulk))
    neutral_mean = np.mean(faces, 0).astype(np.float32)

    # --- Bases -------------------------------------------------------------------------------------------------------
    weights = point_weights()
    expression = weighted_pca(stack, weights, EXPRESSION_SIZE)
    spread = np.stack(faces) - neutral_mean
    identity = weighted_pca(
        spread, np.ones(topo.NUM_POINTS, np.float32), min(IDENTITY_SIZE, len(faces) // 2)
    )
    basis = FaceBasis(
        neutral_mean,
        expression,
        identity,
        triangles(),
        partner,
        np.eye(EXPRESSION_SIZE, dtype=np.float32),
    )
    mirrored = basis.project(expression[:, partner] * flip, ridge=0)
    basis = FaceBasis(neutral_mean, expression, identity, basis.triangles, partner, mirrored)
    tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in vars(basis).items()}
    save_bundle(
        args.out,
        tensors,
        {"expression_size": EXPRESSION_SIZE, "identity_size": len(identity)},
        {
            "data_tier": "permissive",
            "licence": "Apache-2.0",
            "training_command": "python models/training/build_basis.py --data DATA --work data/train --seed 0",
        },
    )

    # --- Motion of every clip ----------------------------------------------------------------------------------------
    out = args.work / "motion"
    out.mkdir(parents=True, exist_ok=True)
    errors = []
    for name, clip in clips.items():
        result = motion_of(clip, tracked[name], basis)
        np.savez(out / f"{name}.npz", **result)
        if rows[name]["person"] != "grid_s1":
            errors.append(
                np.abs(basis.lip_gap(result["array"][:, :EXPRESSION_SIZE]) - result["gap"])[
                    tracked[name]
                ].mean()
            )
    log.info(
        "lip gap error of the projection on other people: %.4f outer-eye distances", np.mean(errors)
    )


if __name__ == "__main__":
    main()
