"""Putting a render's marks into its output while it is written and when it is complete."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli.errors import InputError, MediaError, UsageError
from talkhead_cli.formats import MUXERS
from talkhead_cli.marking.boxes import append_box, xmp_box
from talkhead_cli.marking.consent import unfit_consent
from talkhead_cli.marking.limits import MarkError
from talkhead_cli.marking.record import Marks, hash_of
from talkhead_cli.marking.signing import (
    FORMATS,
    Signing,
    build_manifest,
    check_signing,
    sign,
    unsignable,
)
from talkhead_cli.marking.xmp import build_packet

if TYPE_CHECKING:
    from talkhead_cli.result import Inputs, OutputOptions, Performance
    from talkhead_cli.settings import RenderSettings

BOXED = frozenset({"mp4", "mov"})
"""Containers that take the XMP packet as a box."""

UNMARKED = "--no-marking: nothing in the output says that AI has made it; say so where it is shown"

UNSIGNED = "--c2pa-cert signs the marking that --no-marking leaves out: choose one of them"


@dataclass(frozen=True)
class Stamp:
    """Marks, and how they get into an output.

    Attributes:
        marks: what the output says of itself.
        signing: what a C2PA manifest is signed with; None signs none.
        ingredients: what the output is made from, see `build_manifest`; only where there is a manifest.
    """

    marks: Marks
    signing: Signing | None = None
    ingredients: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def seal(self, path: Path, name: str) -> None:
        """Put into a complete file what its encoder does not write: the XMP packet as a box, then the manifest.

        Args:
            path: of the file, in the folder where it is written.
            name: of the output, for messages.

        Raises:
            InputError: certificate or key cannot be used any more.
            MediaError: the file cannot be written, or not be signed.
        """
        if MUXERS[path.suffix.lower()] in BOXED:
            try:
                append_box(path, xmp_box(build_packet(self.marks).encode()))
            except (OSError, MarkError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise MediaError(f"{name}: the marking cannot be written ({reason})") from error
        if self.signing is not None:
            media_type = FORMATS[path.suffix.lower()]
            manifest = build_manifest(self.marks, self.ingredients, media_type)
            sign(path, self.signing, manifest, name)

    def end_stream(self, descriptor: int) -> None:
        """Write the XMP packet behind a stream of fragmented MP4.

        Args:
            descriptor: of standard output.

        Raises:
            MediaError: whoever reads it has gone.
        """
        view = memoryview(xmp_box(build_packet(self.marks).encode()))
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as error:
            raise MediaError(f"standard output: cannot be written ({error.strerror})") from error


def make_stamp(
    settings: RenderSettings,
    bundles: Mapping[str, str],
    options: OutputOptions,
    inputs: Inputs,
    performance: Performance,
) -> Stamp | None:
    """The stamp of a render; None where it is to be left unmarked.

    Args:
        settings: of the render.
        bundles: names of the weights that are used, to their sha256.
        options: `signing` matters.
        inputs: what it is made from.
        performance: `audio` matters: None where there is none, or it has not yet arrived.

    Raises:
        InputError: an input cannot be read any more.
    """
    if not settings.marking:
        return None
    marks = Marks(hash_of(settings, bundles))
    if options.signing is None:
        return Stamp(marks)
    return Stamp(marks, options.signing, ingredients_of(inputs, performance))


def ingredients_of(inputs: Inputs, performance: Performance) -> dict[str, tuple[str, str]]:
    """What a video is made from, for its manifest: a name to media type and sha256.

    Raises:
        InputError: a file cannot be read any more.
    """
    import mimetypes

    from talkhead_cli.hashing import sha256_of

    files = {
        "portrait": inputs.portrait,
        "speech": performance.audio,
        "drive": inputs.drive,
        "motion": inputs.motion_in,
        "style": inputs.style,
    }
    found: dict[str, tuple[str, str]] = {}
    for name, path in files.items():
        if path is None or (name == "speech" and path == inputs.drive):
            continue
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        try:
            found[name] = kind, sha256_of(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return found


def check_marking(settings: RenderSettings, options: OutputOptions, target: Path | None) -> None:
    """All that can be told before the first frame.

    Args:
        settings: of the render.
        options: `consent_ref` and `signing` matter.
        target: the output; None is standard output.

    Raises:
        UsageError: options contradict each other, or the output cannot hold what is asked for.
        InputError: certificate or key cannot be used.
    """
    problem = unfit_consent(options.consent_ref)
    if problem is not None:
        raise UsageError(f"--consent-ref: {problem}")
    if options.signing is None:
        return
    if not settings.marking:
        raise UsageError(UNSIGNED)
    if target is None:
        raise UsageError(
            "-o -: a stream cannot be signed, as a C2PA manifest stands before all that it vouches for; "
            "give a file, or leave --c2pa-cert out"
        )
    problem = unsignable(target.suffix)
    if problem is not None:
        raise UsageError(f"{target}: {problem}")
    check_signing(options.signing)


def describe_marking(stamp: Stamp | None, consent_ref: str, video: Path | None) -> dict[str, Any]:
    """What OUT.json tells of the marks, and what the complete video is, so that it can be told from another.

    Args:
        stamp: of the render; None where it is unmarked.
        consent_ref: what the user named as the consent of the person shown; it is nowhere but here.
        video: complete; None where the output is a folder of pictures.

    Raises:
        MediaError: the video cannot be read any more.
    """
    from talkhead_cli.hashing import sha256_of

    try:
        sha256 = None if video is None else sha256_of(video)
    except OSError as error:
        raise MediaError(f"{video}: cannot be read any more ({error.strerror})") from error
    marking = {**describe_stamp(stamp), "consent_ref": consent_ref or None}
    return {"output_sha256": sha256, "marking": marking}


def describe_stamp(stamp: Stamp | None) -> dict[str, Any]:
    """What was written where."""
    if stamp is None:
        return {"written": []}
    written = ["metadata", "xmp", "watermark"]
    values: dict[str, Any] = {
        "written": written,
        "statement": stamp.marks.statement,
        "tool": stamp.marks.tool,
        "digital_source_type": stamp.marks.source_type,
        "settings_sha256": stamp.marks.settings_sha256,
    }
    if stamp.signing is not None:
        written.append("c2pa")
        credentials = check_signing(stamp.signing)
        values["c2pa"] = {
            "algorithm": credentials.algorithm,
            "certificate_sha256": credentials.fingerprint,
            "timestamps": stamp.signing.timestamps,
        }
    return values
