"""Stage 1: track the 478-point face mesh through every training clip.

Reads ``DATA/clips.csv`` and ``DATA/clips/*.mp4`` and writes one ``WORK/mesh/<clip>.npz`` a clip:

* ``mesh`` (T, 478, 3) float32, pixels of the clip (x right, y down, z towards the back in the same unit),
* ``tracked`` (T,) bool, False where the tracker lost the face (the mesh of the frame before is repeated),
* ``size`` (2,) int32, width and height; ``fps`` float32.

Clips of many people come first, so that the renderer's stages can start before the single-speaker bulk is through.
Finished clips are skipped: run it again after an interruption.

Launch (2 cores, about 10 minutes for 86 minutes of clips)::

    python models/training/prepare_clips.py --data DATA --work data/train --jobs 2
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
from pathlib import Path

import cv2
import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor

log = logging.getLogger("prepare_clips")

_tracker = None


def face_mesh():
    """The process's one tracker: every new one keeps memory, so it is made once and reset between clips."""
    global _tracker
    if _tracker is None:
        import mediapipe as mp

        _tracker = mp.solutions.face_mesh.FaceMesh(
            static_image_mode=False,
            refine_landmarks=True,
            max_num_faces=1,
            min_tracking_confidence=0.5,
        )
    else:
        _tracker.reset()
    return _tracker


def track(video: Path) -> dict[str, np.ndarray]:
    """Mesh of each frame of a clip."""
    tracker = face_mesh()
    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS)
    meshes, tracked, size = [], [], (0, 0)
    while True:
        ok, frame = capture.read()
        if not ok:
            break
        height, width = frame.shape[:2]
        size = (width, height)
        faces = tracker.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)).multi_face_landmarks
        if faces:
            points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float32)
            meshes.append(points * np.array([width, height, width], np.float32))
        else:
            meshes.append(meshes[-1] if meshes else np.zeros((478, 3), np.float32))
        tracked.append(bool(faces))
    capture.release()
    return {
        "mesh": np.array(meshes, np.float32),
        "tracked": np.array(tracked),
        "size": np.array(size, np.int32),
        "fps": np.float32(fps),
    }


def run(video: Path, target: Path) -> str:
    if target.exists():
        return video.stem
    result = track(video)
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    with partial.open("wb") as file:
        np.savez(file, **result)
    partial.replace(target)
    return video.stem


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv and clips/")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    with (args.data / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    single_speaker = {"grid_s1"}
    rows.sort(key=lambda row: (row["person"] in single_speaker, row["file"]))
    out = args.work / "mesh"
    out.mkdir(parents=True, exist_ok=True)
    tasks = [
        (args.data / "clips" / row["file"], out / f"{Path(row['file']).stem}.npz") for row in rows
    ]
    # A reset tracker keeps about 10 MB: fresh processes every 200 clips bound the memory.
    for start in range(0, len(tasks), 200):
        batch = tasks[start : start + 200]
        joblib.Parallel(n_jobs=args.jobs)(
            joblib.delayed(run)(video, target) for video, target in batch
        )
        get_reusable_executor().shutdown(wait=True)
        log.info("%d of %d clips tracked", start + len(batch), len(tasks))


if __name__ == "__main__":
    main()
