"""Measures of a rendered talking head that need no ground truth: lips against phones, eyes, jitter, border, length.

Everything is measured on the decoded output with MediaPipe's face mesh. Lengths are in outer-eye distances.
Definitions are in docs/benchmarks.md; what real speakers score on them is printed beside.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from talkhead_cli.console import native_stderr_silenced
from talkhead_cli.media import ffmpeg_path, file_url

BILABIALS = {"p", "b", "m"}
OPEN_VOWELS = {"aa", "ae", "ao", "aw", "ay", "ah", "ey", "eh", "ow"}
PAUSES = {"pau", "sil", "h#"}
OPENNESS = {
    **dict.fromkeys(("p", "b", "m", "pau", "sil", "h#"), 0.0),
    **dict.fromkeys(("f", "v"), 0.12),
    **dict.fromkeys(("uw", "uh", "w", "iy", "ih", "er", "ax"), 0.45),
    **dict.fromkeys(("aa", "ae", "ao", "aw", "ay"), 1.0),
    **dict.fromkeys(("ah", "eh", "ey", "ow", "oy"), 0.8),
}
"""How far each phone opens the lips, roughly; the rest 0.3."""


@dataclass(frozen=True)
class Track:
    """What the tracker saw. T frames.

    Attributes:
        meshes: (T, 478, 2) pixels, a lost frame repeats the one before.
        lost: (T,) bool.
        fps: of the file.
        border_psnr: smallest PSNR of the border strip against the portrait over some frames.
    """

    meshes: np.ndarray
    lost: np.ndarray
    fps: float
    border_psnr: float


def track(video: Path, portrait: np.ndarray) -> Track:
    """Decode a video, track its face, compare its border with the portrait ((H, W, 3) RGB)."""
    import mediapipe

    capture = cv2.VideoCapture(str(video))
    fps = capture.get(cv2.CAP_PROP_FPS)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    checked = set(np.linspace(0, max(count - 1, 0), min(count, 40)).astype(int).tolist())
    meshes, lost, errors = [], [], []
    with (
        native_stderr_silenced(),
        mediapipe.solutions.face_mesh.FaceMesh(refine_landmarks=True, max_num_faces=1) as tracker,
    ):
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            height, width = rgb.shape[:2]
            found = tracker.process(rgb).multi_face_landmarks
            lost.append(not found)
            if found:
                points = [(p.x * width, p.y * height) for p in found[0].landmark]
                meshes.append(np.array(points, np.float32))
            else:
                meshes.append(meshes[-1] if meshes else np.zeros((478, 2), np.float32))
            if len(lost) - 1 in checked:
                errors.append(border_error(rgb, portrait))
    capture.release()
    psnr = 10 * np.log10(255**2 / max(max(errors, default=1e-3), 1e-3))
    return Track(np.array(meshes), np.array(lost), fps, float(psnr))


def border_error(frame: np.ndarray, portrait: np.ndarray) -> float:
    """Mean squared error of the top strip and of the upper third's side strips, 4 % wide."""
    height, width = frame.shape[:2]
    same = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
    strip = max(4, round(0.04 * min(height, width)))
    mask = np.zeros((height, width), bool)
    mask[:strip] = True
    mask[: height // 3, :strip] = True
    mask[: height // 3, -strip:] = True
    return float(np.mean((frame[mask].astype(np.float32) - same[mask]) ** 2))


def read_phones(path: Path) -> list[tuple[str, float, float]]:
    """Phones with start and end in seconds, from ``phone:end`` items."""
    result, start = [], 0.0
    for item in path.read_text().split():
        phone, end = item.rsplit(":", 1)
        result.append((phone, start, float(end)))
        start = float(end)
    return result


def decoded_seconds(path: Path, stream: str) -> float:
    """Length of a stream as decoded, not as the container claims."""
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-i", file_url(path), "-map", stream]
    result = subprocess.run(
        [*command, "-f", "null", "-"], capture_output=True, text=True, check=False
    )
    times = re.findall(r"time=(\d+):(\d+):([\d.]+)", result.stderr)
    if not times:
        return 0.0
    hours, minutes, seconds = times[-1]
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def distance(meshes: np.ndarray, first: int, second: int) -> np.ndarray:
    return np.linalg.norm(meshes[:, first] - meshes[:, second], axis=1)


def picture_measures(seen: Track) -> dict[str, float]:
    """Eyes, head and jitter."""
    unit = distance(seen.meshes, 33, 263)
    eyes = (distance(seen.meshes, 159, 145) + distance(seen.meshes, 386, 374)) / (2 * unit)
    closed = eyes < 0.5 * np.median(eyes)
    minutes = len(unit) / seen.fps / 60
    points = seen.meshes[:, [1, 152, 33, 263]]
    return {
        "blinks_per_minute": float((closed[1:] & ~closed[:-1]).sum() / minutes),
        "jerk": float(np.abs(np.diff(points, n=3, axis=0)).mean() / unit.mean()),
        "head_motion": float((seen.meshes[:, 1] / unit[:, None]).std(0).mean()),
        "lost_frames": float(seen.lost.sum()),
        "border_psnr": seen.border_psnr,
    }


def lip_measures(seen: Track, phones: list[tuple[str, float, float]]) -> dict[str, float]:
    """Closures, openings, correlation with the phones' openness, lag, rest in pauses."""
    gap = distance(seen.meshes, 13, 14) / distance(seen.meshes, 33, 263)
    high = float(np.percentile(gap, 95))
    time = (np.arange(len(gap)) + 0.5) / seen.fps

    def within(start: float, end: float, pad: float) -> np.ndarray:
        return gap[(time >= start - pad) & (time <= end + pad)]

    closures = [within(s, e, 0.04) for p, s, e in phones if p in BILABIALS]
    openings = [within(s, e, 0.02) for p, s, e in phones if p in OPEN_VOWELS and e - s >= 0.06]
    closed = [part.min() < max(0.02, 0.15 * high) for part in closures if len(part)]
    opened = [part.max() > max(0.05, 0.35 * high) for part in openings if len(part)]
    wanted = np.zeros_like(time)
    rest = np.zeros(len(time), bool)
    for phone, start, end in phones:
        wanted[(time >= start) & (time < end)] = OPENNESS.get(phone, 0.3)
        if phone in PAUSES and end - start >= 0.25:
            rest |= (time > start + 0.12) & (time < end - 0.08)
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)
    wanted = np.convolve(wanted, kernel / kernel.sum(), "same")
    inner = slice(12, -12)
    lags = range(-8, 9)
    values = [np.corrcoef(np.roll(gap, -lag)[inner], wanted[inner])[0, 1] for lag in lags]
    best = int(np.argmax(values))
    result = {
        "closure_recall": float(np.mean(closed)) if closed else float("nan"),
        "open_recall": float(np.mean(opened)) if opened else float("nan"),
        "openness_correlation": float(values[8]),
        "best_lag_frames": float(lags[best]),
        "gap_p95": high,
    }
    if rest.any():
        result["rest_gap"] = float(gap[rest].mean() / max(high, 1e-6))
    return result
