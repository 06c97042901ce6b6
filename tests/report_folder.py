"""The output folder of a batch, made by hand: real clips and ledger, failed rows, names that are meant to hurt."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from talkhead_cli.batch.job import RUN_FOLDER, Fault
from talkhead_cli.batch.ledger import Ledger
from talkhead_cli.batch.records import Record
from talkhead_cli.hashing import sha256_of
from tests.conftest import run_ffmpeg

HOSTILE = "\"><img src=x onerror=alert(1)>&amp;'`${7*7}#?%41 ü😀.mp4"
"""A file's name that breaks out of whatever is not escaped."""

SCRIPT = "</script><script>document.title='taken over'</script>"


def make_clip(path: Path, picture: Path, sound: Path, seconds: float = 1.2) -> Path:
    """A still picture with sound, as any browser plays it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    still = ("-loop", 1, "-framerate", 25, "-i", picture, "-i", sound, "-t", seconds)
    run_ffmpeg(
        *still, "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-movflags", "+faststart", path
    )
    return path


def make_record(row: int, output: str, **values: object) -> Record:
    """A row that is done; `values` are of `Record`."""
    plain = Record(
        output=output,
        row=row,
        key=f"{row:064d}",
        state="done",
        run=1,
        portrait="/faces/ann.png",
        audio="/speech/ann.wav",
        drive=None,
        seconds=1.2,
        num_frames=30,
    )
    return replace(plain, **values)  # type: ignore[arg-type]


def make_batch(out_dir: Path, records: list[Record], faults: tuple[Fault, ...] = ()) -> Path:
    """An output folder whose batch has ended; what is done is noted with its hash."""
    (out_dir / RUN_FOLDER).mkdir(parents=True, exist_ok=True)
    with Ledger(out_dir) as ledger:
        run = ledger.begin_run()
        ledger.describe_run(run, {"manifest": "/jobs/night.csv"})
        ledger.take_in([noted(out_dir, record) for record in records], faults)
        ledger.end_run(run, {})
    return out_dir


def noted(out_dir: Path, record: Record) -> Record:
    """The record of a row, with what its video is."""
    video = out_dir / record.output
    if record.state != "done" or not video.is_file():
        return record
    status = video.stat()
    return replace(
        record, sha256=sha256_of(video), size=status.st_size, mtime_ns=status.st_mtime_ns
    )


def hostile_batch(out_dir: Path, clip: Path) -> Path:
    """Five rows: two to watch, one of them with a name that hurts; one failed, one gone, one no video."""
    for name in ("ann.mp4", HOSTILE):
        out_dir.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, out_dir / name)
    (out_dir / "broken.mp4").write_bytes(b"no video at all")
    warned = {"made": {"warnings": [f"the portrait is small {SCRIPT}"]}}
    failed = {
        "state": "failed",
        "kind": "AudioError",
        "message": f"/x/{SCRIPT}.wav: no speech; give another",
    }
    return make_batch(
        out_dir,
        [
            make_record(1, "ann.mp4", carried={"consent_ref": "REL-1", "note": SCRIPT}),
            make_record(2, HOSTILE, **warned),
            make_record(3, "carl.mp4", **failed),
            make_record(4, "gone.mp4"),
            make_record(5, "broken.mp4"),
        ],
        (Fault(6, 7, "portrait", "no.png: no such file; correct the path"),),
    )
