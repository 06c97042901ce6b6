"""Writing frames as a folder of numbered PNG pictures."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from talkhead_cli.errors import write_error
from talkhead_cli.leftovers import let_go
from talkhead_cli.marking.xmp import XMP_KEY, build_packet
from talkhead_cli.paths import check_pictures, temporary_folder_beside

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

    from talkhead_cli.marking.record import Marks

COMPRESSION = 3
"""Of zlib: half the time of its default for a few percent more bytes."""

THREADS = 4
RENDERING_INTENT = b"\0"
"""Perceptual, in the chunk that says that colours are sRGB."""


class PictureWriter:
    """Writes RGBA frames as 000000.png, 000001.png, ... into a folder that appears by renaming when all went well.

    A context manager, used as `VideoWriter` is. The pictures have no sound.

    Args:
        path: the folder.
        width: of the frames.
        height: of the frames.
        overwrite: whether a folder of numbered pictures may be replaced.
        on_complete: called with the finished folder before it is put in place.
        marks: what each picture says of itself; None leaves them unmarked.

    Raises:
        InputError: the folder cannot be created.
        MediaError: a picture cannot be written.
    """

    checkpoint = None
    """There is nothing to go on from."""
    unpublished = None
    """There is not one file."""

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        *,
        overwrite: bool = False,
        on_complete: Callable[[Path], None] | None = None,
        marks: Marks | None = None,
    ) -> None:
        self.path = path
        self.size = (width, height)
        self.overwrite = overwrite
        self.on_complete = on_complete
        self.marks = marks
        self.num_frames = 0
        self._folder: Path | None = None

    def __enter__(self) -> PictureWriter:
        self._check_free()
        self._folder = temporary_folder_beside(self.path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._folder is not None
        try:
            if kind is None:
                self._publish(self._folder)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            let_go(self._folder)

    def write(self, frames: NDArray[np.uint8]) -> None:
        """Write frames.

        Args:
            frames: (n, H, W, 4) uint8 RGBA, alpha not multiplied in.

        Raises:
            ValueError: wrong shape or type.
            DiskFull: there is no room for them.
            InputError: they cannot be written for another reason.
        """
        width, height = self.size
        if frames.ndim != 4 or frames.shape[1:] != (height, width, 4) or frames.dtype != np.uint8:
            raise ValueError(
                f"frames must be (n, {height}, {width}, 4) uint8, got {frames.shape} {frames.dtype}"
            )
        assert self._folder is not None
        numbers = range(self.num_frames, self.num_frames + len(frames))
        paths = [self._folder / f"{number:06}.png" for number in numbers]
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(save_picture, frames, paths, repeat(self.marks)))
        except OSError as error:
            raise write_error(self.path, error, "a picture cannot be written") from error
        self.num_frames += len(frames)

    def mark(self, checkpoint: object) -> None:
        """Nothing is kept of pictures that are not complete; see `SegmentedWriter`."""

    def finish(self) -> None:
        """All is written already."""

    def _check_free(self) -> None:
        if self.path.exists():
            check_pictures(self.path, self.overwrite)

    def _publish(self, folder: Path) -> None:
        """Put the folder in place; what was there is gone only afterwards.

        Raises:
            InputError: something is in its place by now, or it cannot be put there.
        """
        if self.on_complete is not None:
            self.on_complete(folder)
        self._check_free()
        mask = os.umask(0)
        os.umask(mask)
        replaced = None
        try:
            folder.chmod(0o777 & ~mask)
            if self.path.exists():
                # Not by the name of temporary files: what is in it is nobody's to remove should this be killed.
                replaced = Path(tempfile.mkdtemp(prefix=".replaced-", dir=self.path.parent))
                self.path.replace(replaced)
            try:
                folder.replace(self.path)
            except OSError:
                if replaced is not None:
                    replaced.replace(self.path)
                raise
        except OSError as error:
            raise write_error(self.path, error, "cannot be put in place") from error
        if replaced is not None:
            shutil.rmtree(replaced, ignore_errors=True)


def save_picture(frame: NDArray[np.uint8], path: Path, marks: Marks | None = None) -> None:
    """Write one frame (H, W, 4) as a PNG file that says that it is sRGB, and what it is otherwise."""
    from PIL import Image

    info = srgb_chunk()
    if marks is not None:
        info.add_text("Software", marks.tool)
        info.add_text("Comment", marks.comment)
        info.add_itxt(XMP_KEY, build_packet(marks))
    Image.fromarray(frame).save(path, pnginfo=info, compress_level=COMPRESSION)


def srgb_chunk() -> PngInfo:
    """What marks a PNG file's colours as sRGB."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add(b"sRGB", RENDERING_INTENT)
    return info
