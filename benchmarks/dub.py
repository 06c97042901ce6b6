"""Dubbed films: sync of the new speech, the picture above the mouth against the film, steadiness, as a table.

Every film is dubbed with the speech that follows it, as `talkhead render` does. The same speech is also put on one
frame of the film as a still portrait, to compare sync with. Phones are read from a file beside the speech (.phones,
.lab).

Launch::

    python benchmarks/dub.py FILM SPEECH [FILM SPEECH ...] [--strips FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

STRIP_FRAMES = 8
CROP_UNITS = 0.75
"""Half the side of a strip's picture of the mouth, in outer-eye distances."""
CROP_PIXELS = 288

COLUMNS = {
    "film_seconds": ("film, s", ".1f"),
    "speech_seconds": ("speech, s", ".1f"),
    "psnr_above": ("PSNR above the mouth, dB", ".1f"),
    "psnr_above_worst": ("  worst frame", ".1f"),
    "psnr_above_luma": ("  luma alone", ".1f"),
    "psnr_encoder": ("PSNR of the film encoded alike, there", ".1f"),
    "closure_recall": ("closed on p, b, m", ".2f"),
    "still_closure_recall": ("  as a portrait", ".2f"),
    "open_vowel_recall": ("open on vowels", ".2f"),
    "still_open_vowel_recall": ("  as a portrait", ".2f"),
    "openness_correlation": ("openness correlation", ".2f"),
    "still_openness_correlation": ("  as a portrait", ".2f"),
    "best_lag_ms": ("best lag, ms", ".0f"),
    "mouth_rest": ("opening in pauses", ".2f"),
    "mouth_flicker": ("mouth flicker, levels", ".2f"),
    "film_mouth_flicker": ("  of the film itself", ".2f"),
    "still_mouth_flicker": ("  as a portrait", ".2f"),
    "mouth_sharpness": ("mouth sharpness, levels", ".1f"),
    "film_mouth_sharpness": ("  of the film itself", ".1f"),
    "frames_per_second": ("frames/s, start-up included", ".1f"),
}


def phones_beside(speech: Path) -> Path | None:
    """The file that says when which phone is spoken."""
    found = [speech.with_suffix(suffix) for suffix in (".phones", ".lab")]
    return next((path for path in found if path.is_file()), None)


def measures(video: Path, speech: Path | None) -> dict[str, float | None]:
    """Lips and steadiness of a video."""
    from talkhead_cli.evaluation.evaluate import EvaluationRequest, evaluate_video

    phones = phones_beside(speech) if speech is not None else None
    request = EvaluationRequest(video, audio=speech, phones=phones, flow=False)
    return evaluate_video(request).to_dict()


def above(mesh: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: what lies above the base of the nose, in the head's own upright."""
    eyes = mesh[[33, 263], :2].mean(0)
    base = mesh[2, :2]
    rows, columns = np.indices(shape[:2])
    across = mesh[263, :2] - mesh[33, :2]
    down = np.array([-across[1], across[0]])
    if down @ (base - eyes) < 0:
        down = -down
    return (columns - base[0]) * down[0] + (rows - base[1]) * down[1] < 0


def psnr(squares: list[float]) -> float:
    """Decibels of mean squared errors of frames."""
    return float(10 * np.log10(255**2 / max(float(np.mean(squares)), 1e-9)))


def luma(picture: np.ndarray) -> np.ndarray:
    return picture @ np.array([0.299, 0.587, 0.114])


def compare(film, dubbed: Path, face, count: int) -> dict[str, float]:
    """The picture above the mouth of the encoded video against the film's."""
    from talkhead_cli.film import FilmReader

    squares, lumas = [], []
    with FilmReader(dubbed, film.fps, 0, count) as reader:
        for (index, source), frame in zip(film.play(0, count), reader, strict=True):
            region = above(face.meshes[index], frame.shape)
            error = frame[region].astype(float) - source[region]
            squares.append(float((error**2).mean()))
            lumas.append(float((luma(error) ** 2).mean()))
    return {
        "psnr_above": psnr(squares),
        "psnr_above_worst": psnr([max(squares)]),
        "psnr_above_luma": psnr(lumas),
    }


def encode_film(film, count: int, path: Path) -> Path:
    """The film's own frames, encoded as a render is: what no dubbing could exceed."""
    from talkhead_cli.film_rules import FILM_CRF
    from talkhead_cli.media import VideoWriter

    writer: VideoWriter | None = None
    for _, frame in film.play(0, count):
        if writer is None:
            height, width = frame.shape[:2]
            writer = VideoWriter(path, width, height, film.fps, crf=FILM_CRF, overwrite=True)
            writer.__enter__()
        writer.write(frame[None])
    assert writer is not None
    writer.__exit__(None, None, None)
    return path


def strip(film, dubbed: Path, face, count: int, path: Path) -> None:
    """Mouths of the film above those of the dubbed film."""
    from talkhead_cli.evaluation.stream import VideoReader

    chosen = set(np.linspace(0, count - 1, STRIP_FRAMES).astype(int).tolist())
    rows: list[list[np.ndarray]] = [[], []]
    with VideoReader(dubbed, film.fps) as reader:
        pairs = zip(film.play(0, count), reader, strict=False)
        for position, ((index, source), frame) in enumerate(pairs):
            if position not in chosen:
                continue
            mesh = face.meshes[index]
            x, y = mesh[[1, 13, 14, 152], :2].mean(0)
            half = CROP_UNITS * float(np.linalg.norm(mesh[263, :2] - mesh[33, :2]))
            for row, picture in zip(rows, (source, frame), strict=True):
                cut = Image.fromarray(picture).crop((x - half, y - half, x + half, y + half))
                size = (CROP_PIXELS, CROP_PIXELS)
                row.append(np.asarray(cut.resize(size, Image.Resampling.BICUBIC)))
    picture = np.concatenate([np.concatenate(row, 1) for row in rows], 0)
    Image.fromarray(picture).save(path)


def measure_pair(film_path: Path, speech: Path, args, folder: Path) -> dict[str, object]:
    """All figures of one film with one speech."""
    from talkhead_cli.film import load_film
    from talkhead_cli.render import OutputOptions, render_file
    from talkhead_cli.settings import resolve_settings

    # The watermark changes every pixel a little; what the dubbing changes is to be seen.
    settings = resolve_settings(args.preset, {"device": args.device, "marking": False})
    options = OutputOptions(overwrite=True, sidecar=False)
    video, still = folder / "dubbed.mp4", folder / "still.mp4"
    made = render_file(settings, film_path, speech, video, options=options)
    found = load_film(film_path, made.num_frames, made.fps)
    Image.fromarray(found.first).save(folder / "still.png")
    render_file(settings, folder / "still.png", speech, still, options=options)
    encoded = encode_film(found.film, made.num_frames, folder / "film.mp4")
    dubbed, portrait = measures(video, speech), measures(still, speech)
    itself = measures(encoded, None)
    if args.strips:
        args.strips.mkdir(parents=True, exist_ok=True)
        name = f"{film_path.stem[-40:]}-{speech.stem}.png"
        strip(found.film, video, found.face, made.num_frames, args.strips / name)
    encoder = compare(found.film, encoded, found.face, made.num_frames)
    row: dict[str, object] = {
        "film": film_path.name,
        "speech": speech.name,
        "film_seconds": found.film.num_frames / float(made.fps),
        "speech_seconds": made.duration_seconds,
        **compare(found.film, video, found.face, made.num_frames),
        "psnr_encoder": encoder["psnr_above"],
        "frames_per_second": made.frames_per_second,
    }
    for name in COLUMNS:
        if name in row:
            continue
        if name.startswith("still_"):
            row[name] = portrait[name.removeprefix("still_")]
        elif name.startswith("film_"):
            row[name] = itself[name.removeprefix("film_")]
        else:
            row[name] = dubbed[name]
    return row


def print_table(rows: list[dict[str, object]]) -> None:
    for number, row in enumerate(rows, start=1):
        print(f"{number}: {row['film']} with {row['speech']}")
    print(f"{'':40}" + "".join(f"{number:>9}" for number in range(1, len(rows) + 1)))
    for name, (words, form) in COLUMNS.items():
        values = [row[name] for row in rows]
        cells = [f"{'-':>9}" if value is None else f"{value:>9{form}}" for value in values]
        print(f"{words:40}" + "".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILM SPEECH")
    parser.add_argument("--strips", type=Path, help="folder for pictures of the mouths")
    parser.add_argument("--preset")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    args = parser.parse_args()
    if len(args.files) % 2:
        parser.error("give pairs: FILM SPEECH [FILM SPEECH ...]")
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    rows = []
    for film, speech in zip(args.files[::2], args.files[1::2], strict=True):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure_pair(film, speech, args, Path(folder)))
    if args.json:
        print(json.dumps({"rows": rows}, indent=1))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
