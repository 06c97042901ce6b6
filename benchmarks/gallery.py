"""Contact sheets: every portrait's face at the same eight moments of a recording, below it the mouth, 3x as large.

The moments are looked up in the speech and in the motion: an open vowel, a closure, a blink, the largest head turn, a
pause, ... One JPEG a portrait, and index.md. Look at them: what is wrong with a face is seen here first.

Launch::

    make gallery PORTRAITS=FOLDER SPEECH=RECORDING
    python benchmarks/gallery.py --portraits FOLDER --speech RECORDING --out out/gallery
    python benchmarks/gallery.py --out docs/gallery --index README.md --quality 85
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from talkhead_cli.audio import extract_features
from talkhead_cli.errors import TalkheadError
from talkhead_cli.face import Portrait, load_portrait
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.render import speech_encoder
from talkhead_cli.settings import resolve_settings
from talkhead_models.motion import MOTION_FPS, FaceMotion
from talkhead_models.rig import FaceRig
from talkhead_models.speech import NUM_VISEMES, STEP_RATE, VISEMES, SpeechFeatures
from talkhead_models.topology import LIPS

ROOT = Path(__file__).parent.parent
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
SOUNDS = {".wav", ".flac", ".mp3", ".m4a", ".ogg"}
EXAMPLES = ("hopper", "astronaut")

CELL = 256
"""Pixels of a cell's side."""

HEAD = 1.7
"""Side of the square around the face over the face's longer side."""

ENLARGED = 3
LABEL = 18
"""Pixels of a line of text."""


@dataclass(frozen=True)
class Recording:
    """A recording with its features, its motion at the output rate, and the frames to look at by name."""

    path: Path
    features: SpeechFeatures
    motion: FaceMotion
    moments: dict[str, int]


def choose_moments(visemes: np.ndarray, gap: np.ndarray, motion: FaceMotion) -> dict[str, int]:
    """Frames worth looking at, by name.

    Args:
        visemes: (T, 16) posteriors of each frame.
        gap: (T,) inner-lip gap.
        motion: T frames.
    """

    def heard(*names: str) -> np.ndarray:
        return visemes[:, [VISEMES.index(name) for name in names]].sum(1)

    smooth = np.ones(3) / 3
    closure = np.convolve(heard("PBM"), smooth, "same")
    pause = np.convolve(heard("silence"), np.hanning(9), "same")
    turn = np.abs(motion.rotation - np.median(motion.rotation, axis=0)).max(1)
    return {
        "open vowel": int(np.argmax(gap * (heard("AA", "AE", "OH") > 0.5) + 1e-3 * gap)),
        "p, b, m": int(np.argmax(closure)),
        "f, v": int(np.argmax(heard("FV"))),
        "ee, s": int(np.argmax(heard("IY", "SZ"))),
        "oo, w": int(np.argmax(heard("UW"))),
        "blink": int(np.argmax(motion.lids.mean(1))),
        "head turned": int(np.argmax(turn)),
        "pause": int(np.argmax(pause)),
    }


def listen(path: Path, seconds: float, pipeline: TalkingHeadPipeline) -> Recording:
    """Speech features of a recording's beginning, and its moments.

    Raises:
        AudioError: the recording cannot be used.
    """
    whole = extract_features(path, speech_encoder("cpu"), 3600.0, pipeline.lip_audio)
    # Two steps of speech a frame of motion, so an even number.
    steps = min(2 * round(seconds * MOTION_FPS), len(whole.array))
    features = SpeechFeatures(whole.array[:steps], steps / STEP_RATE)
    fps = Fraction(pipeline.settings.fps)
    count = max(1, int(features.duration_seconds * fps))
    array = np.concatenate([part.to_array() for part in pipeline.motion(features, count)])[:count]
    motion = FaceMotion.from_array(array, fps)
    middles = ((np.arange(len(array)) + 0.5) / float(fps) * STEP_RATE).astype(int)
    visemes = features.array[np.minimum(middles, steps - 1), :NUM_VISEMES]
    gap = pipeline.basis.lip_gap(motion.expression)
    return Recording(path, features, motion, choose_moments(visemes, gap, motion))


def render_moments(
    pipeline: TalkingHeadPipeline, portrait: Portrait, recording: Recording
) -> dict[str, np.ndarray]:
    """The frame (H, W, 3) of every moment; all frames are rendered, these are kept."""
    wanted = set(recording.moments.values())
    frames: dict[int, np.ndarray] = {}
    number = 0
    for chunk in pipeline.render(portrait, recording.features, max(wanted) + 1):
        for frame in chunk:
            if number in wanted:
                frames[number] = frame.copy()
            number += 1
    return {name: frames[index] for name, index in recording.moments.items()}


def square(centre: np.ndarray, side: float, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Square of a side around a centre, moved and made smaller so that it lies in the picture: x0 y0 x1 y1."""
    height, width = shape[:2]
    size = max(2, int(min(side, width, height)))
    x = int(np.clip(centre[0] - size / 2, 0, width - size))
    y = int(np.clip(centre[1] - size / 2, 0, height - size))
    return x, y, x + size, y + size


def cell(frame: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """A part of a frame as a cell of the sheet."""
    x0, y0, x1, y1 = box
    cut = frame[y0:y1, x0:x1]
    how = cv2.INTER_AREA if len(cut) > CELL else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(cut, (CELL, CELL), interpolation=how))


def make_sheet(
    pipeline: TalkingHeadPipeline, portrait: Portrait, recording: Recording
) -> np.ndarray:
    """Names, faces and mouths side by side, (2 CELL + LABEL, 9 CELL, 3) uint8 RGB, the portrait itself first."""
    x0, y0, x1, y1 = portrait.box
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2 - 0.08 * (y1 - y0)])
    head = square(centre, HEAD * max(x1 - x0, y1 - y0), portrait.image.shape)
    frames = {"portrait": portrait.image, **render_moments(pipeline, portrait, recording)}
    faces = [cell(frame, head) for frame in frames.values()]
    # The mouth is followed: the head moves further than such a small square shows.
    meshes = FaceRig.fit(portrait.mesh, pipeline.basis).meshes(recording.motion)
    lips = [portrait.mesh, *(meshes[index] for index in recording.moments.values())]
    mouths = []
    for frame, mesh in zip(frames.values(), lips, strict=True):
        middle = mesh[list(LIPS), :2].mean(0)
        mouths.append(cell(frame, square(middle, (head[2] - head[0]) / ENLARGED, frame.shape)))
    header = Image.new("RGB", (CELL * len(frames), LABEL), "white")
    draw = ImageDraw.Draw(header)
    for index, name in enumerate(frames):
        draw.text((index * CELL + 4, 3), name, fill="black")
    return np.vstack([np.asarray(header), np.hstack(faces), np.hstack(mouths)])


def built_in(folder: Path) -> list[Path]:
    """The example portraits as files."""
    sys.path.insert(0, str(ROOT / "examples"))
    from portraits import load_example

    paths = []
    for name in EXAMPLES:
        paths.append(folder / f"{name}.png")
        Image.fromarray(load_example(name)).save(paths[-1])
    return paths


def files_of(path: Path, suffixes: set[str]) -> list[Path]:
    """A file, or those of a folder that end so."""
    if path.is_dir():
        return sorted(item for item in path.iterdir() if item.suffix.lower() in suffixes)
    return [path]


PAGE = """# Gallery

The face at the same eight moments of a recording, below it the mouth three times as large; first the portrait itself.
Nothing is chosen by its looks: the moments are those of the speech and of the motion. To make it again:

```bash
make gallery PORTRAITS=folder SPEECH=recording
python benchmarks/gallery.py --out docs/gallery --index README.md --quality 85
```

The first writes the sheets of any portraits to `out/gallery`, the second those of the built-in examples, which are in
the public domain, to `docs/gallery`.
"""


def write_index(path: Path, recordings: Sequence[Recording], notes: dict[str, str]) -> None:
    """The page that shows the sheets.

    Args:
        path: of the page, beside the sheets.
        recordings: what was said.
        notes: by portrait: the name of its sheet, or why there is none.
    """
    parts = [PAGE]
    for spoken in recordings:
        times = [
            f"{name} at {index / float(spoken.motion.fps):.2f} s"
            for name, index in spoken.moments.items()
        ]
        parts.append(f"`{spoken.path.name}`: {'; '.join(times)}.\n")
    for name, note in notes.items():
        shown = f"![{name}]({note})" if note.endswith(".jpg") else note
        parts.append(f"## {name}\n\n{shown}\n")
    path.write_text("\n".join(parts), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--portraits", type=Path, help="a picture or a folder of them")
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    parser.add_argument("--out", type=Path, default=Path("out/gallery"))
    parser.add_argument("--index", default="index.md")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each recording")
    parser.add_argument("--size", type=int, default=1080, help="longest side of the portraits")
    parser.add_argument("--quality", type=int, default=90, help="of the JPEG files")
    parser.add_argument("--preset")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pipeline = TalkingHeadPipeline(resolve_settings(args.preset, {"device": "cpu"}))
    recordings = [listen(path, args.seconds, pipeline) for path in files_of(args.speech, SOUNDS)]
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = files_of(args.portraits, PICTURES) if args.portraits else built_in(Path(folder))
        for path in given:
            try:
                portrait = load_portrait(path, size=args.size)
                rows = [make_sheet(pipeline, portrait, spoken) for spoken in recordings]
            except TalkheadError as error:
                notes[path.stem] = f"refused: {str(error).removeprefix(f'{path}: ')}"
                print(notes[path.stem])
                continue
            notes[path.stem] = f"{path.stem}.jpg"
            target = args.out / notes[path.stem]
            Image.fromarray(np.vstack(rows)).save(target, quality=args.quality, optimize=True)
            print(target, flush=True)
    write_index(args.out / args.index, recordings, notes)
    print(args.out / args.index)


if __name__ == "__main__":
    main()
