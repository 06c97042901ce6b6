"""Rows over copies of their inputs, where worker and run share no folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from talkhead_cli.batch.job import Job


def named_as(job: Job, sidecar: Path) -> bytes:
    """A sidecar written over copies, with the names that the files have where the job came from."""
    values = json.loads(sidecar.read_text(encoding="utf-8"))
    values |= {
        name: getattr(job, name)
        for name in ("portrait", "audio", "drive", "style", "output")
        if name in values
    }
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def in_terms_of(job: Job, local: Job, message: str) -> str:
    """A message about copies, with the names that the files have where the job came from."""
    for name in ("portrait", "audio", "drive", "style", "output"):
        copy, original = getattr(local, name), getattr(job, name)
        if copy and original:
            message = message.replace(copy, original)
    return message


def unpack(job: Job, folder: Path) -> Job:
    """The same job over copies of its inputs in a folder of this machine."""
    paths: dict[str, str] = {}
    for name, content in job.files.items():
        # The suffix helps decoders along; the rest of the name could be anything.
        path = folder / (name + Path(str(getattr(job, name))).suffix)
        path.write_bytes(content)
        paths[name] = str(path)
    work = folder / "row"
    work.mkdir()
    return replace(
        job,
        portrait=paths["portrait"],
        audio=paths.get("audio"),
        drive=paths.get("drive"),
        style=paths.get("style"),
        output=str(folder / f"out{Path(job.output).suffix}"),
        folder=str(work),
        files={},
        seen={},
    )
