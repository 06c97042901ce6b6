"""A long video against its portrait, minute by minute, and the memory of the process that made it."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageDraw

from talkhead_cli.evaluation.face import CLOSED, FaceFrame, TrackRecorder
from talkhead_cli.evaluation.likeness import (
    choose_zoom,
    correlation,
    fit_portrait,
    laplacian_variance,
    upper_face,
)
from talkhead_cli.evaluation.tracker import FaceFilm, FaceTracker

LOOKS = Fraction(5)
"""Frames a second that are looked at."""

HEAD = (80, 0, 380, 300)
"""Head and shoulders in the built-in picture, pixels."""

STRIP_COLUMNS = 5
LABEL = 18
"""Pixels of a line of text."""

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Film:
    """A rendered video.

    Attributes:
        path: of the video.
        portrait: (H, W, 3) uint8 RGB, what it was made from, at its own size.
        memory: MiB resident in the rendering process, twice a second.
    """

    path: Path
    portrait: np.ndarray
    memory: tuple[float, ...]


def render_film(args: argparse.Namespace, sound: Path, out: Path) -> Film:
    """Render with `talkhead render` in a process of its own and follow its memory; ffmpeg's is not in it."""
    portrait = args.portrait
    if portrait is None:
        from skimage.data import astronaut

        portrait = out.parent / "portrait.png"
        Image.fromarray(astronaut()).crop(HEAD).save(portrait)
    command = [sys.executable, "-m", "talkhead_cli", "render", str(portrait), str(sound)]
    command += ["-o", str(out), "--size", str(args.size), "--preset", args.preset, "--quiet"]
    command += ["--seed", str(args.seed), "--device", "cpu", "--max-seconds", "3600"]
    memory = []
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            try:
                memory.append(psutil.Process(process.pid).memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                break
            time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"the render of {sound.name} failed: see above")
    with Image.open(portrait) as image:
        return Film(out, np.asarray(image.convert("RGB")), tuple(memory))


class Comparison:
    """Frames of one minute against the portrait."""

    def __init__(self, portrait: np.ndarray, mesh: np.ndarray) -> None:
        self.zoom = choose_zoom(mesh)
        self.face = upper_face(portrait, mesh, self.zoom)
        self.rows: list[tuple[float, float, float]] = []
        self.track = TrackRecorder(float(LOOKS))

    def push(self, frame: FaceFrame) -> None:
        """Take the next frame."""
        face = upper_face(frame.image, frame.mesh, self.zoom)
        drift = float(np.abs(face.mean((0, 1)) - self.face.mean((0, 1))).max())
        detail = laplacian_variance(face[..., 0]) / laplacian_variance(self.face[..., 0])
        self.rows.append((correlation(face[..., 0], self.face[..., 0]), drift, detail))
        self.track.push(frame)

    def finish(self) -> dict[str, float]:
        """Means over the frames that show a face with open eyes."""
        track = self.track.finish()
        awake = ~track.lost & (track.eyes >= CLOSED * np.median(track.eyes))
        means = np.array(self.rows)[awake].mean(0).tolist()
        names = ("likeness", "colour", "sharpness")
        return dict(zip(names, means, strict=True)) | {"lost": float(track.lost.sum())}


def compare_film(
    film: Film, minute_seconds: float
) -> tuple[list[dict[str, float]], list[np.ndarray]]:
    """Measures of each minute, the last one even if it is short, and of each the frame at its middle."""
    minutes: list[Comparison] = []
    pictures: list[np.ndarray] = []
    size = round(minute_seconds * LOOKS)
    portrait = mesh = None
    for number, frame in enumerate(FaceFilm(film.path, LOOKS, "video", "largest")):
        if portrait is None:
            portrait = fit_portrait(film.portrait, frame.image.shape)
            if portrait is None:
                raise SystemExit("the video has another shape than the portrait")
            mesh = FaceTracker("still", portrait, "largest").settle(portrait)
        if number % size == 0:
            assert mesh is not None
            minutes.append(Comparison(portrait, mesh))
        if number % size == size // 2:
            pictures.append(frame.image)
        minutes[-1].push(frame)
    return [minute.finish() for minute in minutes], pictures


def write_strip(pictures: list[np.ndarray], path: Path) -> None:
    """A picture of one frame a minute, with the minute below each."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // STRIP_COLUMNS)
    columns = min(len(pictures), STRIP_COLUMNS)
    sheet = Image.new("RGB", (columns * width, rows * (height + LABEL)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, picture in enumerate(pictures):
        x, y = index % STRIP_COLUMNS * width, index // STRIP_COLUMNS * (height + LABEL)
        sheet.paste(Image.fromarray(picture), (x, y))
        draw.text((x + 4, y + height + 3), f"{index}:30", fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=90)
