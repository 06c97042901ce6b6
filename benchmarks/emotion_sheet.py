"""One picture of the emotions: a row a portrait, a column an emotion at full strength, all at the same moment.

Below each portrait's row, a strip of the eyes at six moments: held on the camera above, free below.

    python benchmarks/emotion_sheet.py SPEECH PORTRAIT ... --out docs/gallery/emotions.jpg
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from controls import load, moved, with_settings
from numpy.typing import NDArray
from PIL import Image

from talkhead_cli.face import Portrait, load_portrait
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.playback import SavedMotion
from talkhead_cli.settings import resolve_settings
from talkhead_models import topology as topo
from talkhead_models.emotion import EMOTIONS
from talkhead_models.motion import FaceMotion
from talkhead_models.rig import FaceRig

Pixels = NDArray[np.uint8]

SIDE = 180
"""Pixels of a face in the sheet."""

QUALITY = 88
"""Of the JPEG file."""


def frames_of(
    pipeline: TalkingHeadPipeline, portrait: Portrait, motion: FaceMotion, moments: list[int]
) -> Pixels:
    """The pictures of some moments."""
    chosen = FaceMotion.from_array(motion.to_array()[moments])
    return np.concatenate(list(pipeline.render(portrait, SavedMotion(chosen), len(moments))))


def face(portrait: Portrait, frame: Pixels) -> Pixels:
    """The face, square."""
    left, top, right, bottom = portrait.box
    half = 0.62 * (right - left)
    x, y = (left + right) / 2, (top + bottom) / 2
    box = [round(edge) for edge in (x - half, y - half, x + half, y + half)]
    return np.asarray(
        Image.fromarray(frame).crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    )


def eyes(mesh: NDArray[np.float32], frame: Pixels, width: int, height: int) -> Pixels:
    """Both eyes, about three times as large as in the faces."""
    corners = mesh[[topo.EYE_CORNERS[0][0], topo.EYE_CORNERS[1][1]], :2]
    x, y = corners.mean(0)
    half = 0.62 * float(np.linalg.norm(corners[1] - corners[0]))
    tall = half * height / width
    box = [round(float(edge)) for edge in (x - half, y - tall, x + half, y + tall)]
    return np.asarray(
        Image.fromarray(frame).crop(box).resize((width, height), Image.Resampling.LANCZOS)
    )


def eye_strip(
    pipeline: TalkingHeadPipeline, portrait: Portrait, motion: FaceMotion, moments: list[int]
) -> Pixels:
    """The eyes at some moments, side by side."""
    rig = FaceRig.fit(portrait.mesh, pipeline.basis)
    meshes = rig.meshes(FaceMotion.from_array(motion.to_array()[moments]))
    width = SIDE * len(EMOTIONS) // len(moments)
    frames = frames_of(pipeline, portrait, motion, moments)
    return np.concatenate(
        [eyes(mesh, frame, width, 48) for mesh, frame in zip(meshes, frames, strict=True)], axis=1
    )


def main() -> None:
    """Parse, render, write."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("speech", type=Path)
    parser.add_argument("portraits", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--moment", type=int, default=62, help="frame of the speech")
    given = parser.parse_args()
    plain = TalkingHeadPipeline(resolve_settings(None, {"device": "cpu", "seed": 2}))
    (speech,) = load([given.speech], plain)
    rows = []
    for path in given.portraits:
        portrait = load_portrait(path, size=1024)
        shown = []
        for emotion in EMOTIONS:
            felt = with_settings(plain, emotion=emotion, emotion_strength=1.0)
            motion = moved(felt, speech.features)
            shown.append(face(portrait, frames_of(felt, portrait, motion, [given.moment])[0]))
        rows.append(np.concatenate(shown, axis=1))
    # Eyes of the first portrait, while free ones look away the farthest.
    portrait = load_portrait(given.portraits[0], size=1024)
    made = {
        gaze: moved(with_settings(plain, gaze=gaze), speech.features) for gaze in ("camera", "free")
    }
    away = np.linalg.norm(made["free"].gaze, axis=1) * (made["free"].lids.max(1) < 0.3)
    far = np.flatnonzero(away > 0.6 * away.max())
    moments = [int(far[round(share * (len(far) - 1))]) for share in np.linspace(0, 1, 6)]
    for gaze, motion in made.items():
        rows.append(eye_strip(with_settings(plain, gaze=gaze), portrait, motion, moments))
    sheet = Image.fromarray(np.concatenate(rows))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(given.out, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
