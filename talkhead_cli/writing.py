"""Which writer encodes a render's frames, and how they reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from talkhead_cli.formats import PICTURES, codec_of
from talkhead_cli.result import OutputOptions, Scene
from talkhead_cli.settings import RenderSettings
from talkhead_cli.timing import Clock, Ticker

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from talkhead_cli.finishing import Finish
    from talkhead_cli.marking.stamp import Stamp
    from talkhead_cli.media import VideoWriter
    from talkhead_cli.pictures import PictureWriter
    from talkhead_cli.segments import SegmentedWriter
    from talkhead_cli.sound import PipedSound


def encoder(
    scene: Scene, settings: RenderSettings, live: bool = False
) -> Callable[..., VideoWriter]:
    """Makes video writers for a scene's pictures; a path, and what else is not in the settings, is to be added.

    Raises:
        MediaError: hardware is to encode, and cannot.
    """
    from talkhead_cli.hardware import choose_encoder
    from talkhead_cli.media import VideoWriter

    height, width = scene.portrait.image.shape[:2]
    codec = codec_of(scene.target, settings)
    # What hardware holds back differs from one to the next.
    wish = "software" if live else settings.encoder
    return partial(
        VideoWriter,
        width=width,
        height=height,
        fps=settings.fps,
        crf=settings.crf,
        codec=codec,
        planes=scene.pipeline.gives_planes(codec),
        encoder=choose_encoder(codec, wish, width, height),
    )


def stream_writer(
    scene: Scene,
    sound: Path | PipedSound | None,
    settings: RenderSettings,
    options: OutputOptions,
    stamp: Stamp | None = None,
    live: bool = False,
) -> VideoWriter | PictureWriter:
    """A writer that encodes in one go, to a file or to standard output."""
    from talkhead_cli.media import STDOUT

    if scene.target is not None and codec_of(scene.target, settings) == PICTURES:
        return picture_writer(scene, scene.target, options, stamp)
    return encoder(scene, settings, live)(
        scene.target or STDOUT,
        audio=sound,
        overwrite=options.overwrite,
        live=live,
        folder=options.folder,
        on_complete=options.on_complete,
        stamp=stamp,
    )


def file_writer(
    scene: Scene,
    sound: Path | None,
    num_frames: int,
    settings: RenderSettings,
    options: OutputOptions,
    stamp: Stamp | None = None,
) -> VideoWriter | SegmentedWriter | PictureWriter:
    """A writer for a video whose length is known: in segments where it is a long file."""
    from talkhead_cli.segments import SegmentedWriter, frames_in_segment

    # Segments of different encoders do not join: hardware may be gone when a render goes on.
    whole = settings.alpha or settings.encoder != "software"
    if scene.target is None or whole or num_frames <= frames_in_segment(settings.fps):
        return stream_writer(scene, sound, settings, options, stamp)
    return SegmentedWriter(
        scene.target,
        partial(encoder(scene, settings), overwrite=True),
        settings.fps,
        settings.video_codec,
        audio=sound,
        overwrite=options.overwrite,
        folder=options.folder,
        on_complete=options.on_complete,
        stamp=stamp,
    )


def picture_writer(
    scene: Scene, target: Path, options: OutputOptions, stamp: Stamp | None
) -> PictureWriter:
    """A writer of a folder of pictures."""
    from talkhead_cli.pictures import PictureWriter

    height, width = scene.portrait.image.shape[:2]
    return PictureWriter(
        target,
        width,
        height,
        overwrite=options.overwrite,
        on_complete=options.on_complete,
        marks=None if stamp is None else stamp.marks,
    )


def write_frames(
    writer: VideoWriter | SegmentedWriter | PictureWriter,
    batches: Iterable[NDArray[np.uint8]],
    ticker: Ticker,
    clock: Clock,
    finish: Finish,
) -> None:
    """Encode all frames and tell how far it is.

    Args:
        writer: open.
        batches: (n, H, W, 3) uint8 RGB, (n, H, W, 4) RGBA or planes as the writer wants it; a `Playback` also tells
            where segments may end.
        ticker: sends the progress.
        clock: counts the time as "encode".
        finish: what is put on every frame before.
    """
    for frames in batches:
        with clock.stage("encode"):
            writer.write(finish.apply(frames))
            checkpoint = getattr(batches, "checkpoint", None)
            if checkpoint is not None:
                writer.mark(checkpoint)
        ticker.advance(len(frames))
    with clock.stage("encode"):
        writer.finish()
    ticker.finish()
