"""What was found of each video, kept in small JSON files beside the run's state, by the contents of the files."""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from talkhead_cli.batch.job import RUN_FOLDER
from talkhead_cli.errors import InputError
from talkhead_cli.hashing import sha256_of
from talkhead_cli.paths import publish, temporary_beside
from talkhead_cli.report.examine import VERSION, Examined
from talkhead_cli.report.rows import ReportRow, find_input

log = logging.getLogger(__name__)

FOLDER = "report"
LARGEST = 1 << 20
"""Bytes of a file that is believed to be ours."""

MEASURED_BY = ("size", "face", "background", "crop", "crf")
"""Settings of a sidecar that the measures depend on."""


class Store:
    """Found things by key; a folder that cannot be written keeps nothing, which costs time only.

    Args:
        folder: that the report is about.

    Attributes:
        writable: whether something could be kept so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / RUN_FOLDER / FOLDER
        self.writable = True
        self._hashes: dict[Path, str] = {}

    def sha256(self, row: ReportRow) -> str:
        """Of the row's video: as the run has recorded it where the file was not touched since; else it is read.

        Raises:
            OSError: it cannot be read.
        """
        assert row.video is not None
        found = row.video.stat()
        if row.sha256 and (row.size, row.mtime_ns) == (found.st_size, found.st_mtime_ns):
            return row.sha256
        return sha256_of(row.video)

    def key(self, row: ReportRow, sha256: str) -> str:
        """Of all that the measures of a row depend on.

        Args:
            row: whose video is there.
            sha256: of the video.
        """
        values = {
            "version": VERSION,
            "video": sha256,
            "settings": {name: row.settings.get(name) for name in MEASURED_BY},
            **{kind: self._input_hash(row, kind) for kind in ("portrait", "audio")},
        }
        text = json.dumps(values, sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _input_hash(self, row: ReportRow, kind: str) -> str:
        """Of a file that a video was made from; many rows share one. "" where it is gone."""
        path = find_input(row, kind)
        if path is None:
            return ""
        if path not in self._hashes:
            try:
                self._hashes[path] = sha256_of(path)
            except OSError:
                self._hashes[path] = ""
        return self._hashes[path]

    def get(self, key: str) -> Examined | None:
        """What is known, None where nothing is, or what is there is not ours."""
        path = self._path(key)
        try:
            if path.stat().st_size > LARGEST:
                return None
            found = Examined.model_validate_json(path.read_bytes())
        except (OSError, ValidationError, ValueError):
            return None
        return found if (found.key, found.version) == (key, VERSION) else None

    def put(self, found: Examined) -> None:
        """Keep it, by renaming; troubles of the moment are not kept."""
        if found.passing or not self.writable:
            return
        path = self._path(found.key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = temporary_beside(path)
            try:
                temporary.write_text(found.model_dump_json(), encoding="utf-8")
                publish(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except (OSError, InputError) as error:
            self.writable = False
            log.info("measures are not kept: %s", error)

    def prune(self, keys: set[str]) -> None:
        """Forget videos that are not there any more."""
        with suppress(OSError):
            for path in self.folder.glob("*.json"):
                if path.stem not in keys:
                    path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.json"
