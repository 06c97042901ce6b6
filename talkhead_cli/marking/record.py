"""What a file says of itself: that AI has made it, with what, and from which settings.

One record, written in three forms: as the container's own tags, as an XMP packet (`talkhead_cli.marking.xmp`), and
where there is a certificate, as a signed C2PA manifest (`talkhead_cli.marking.signing`). Nothing in it tells who or
what was rendered, and nothing differs between two renders of the same inputs: see docs/marking.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from talkhead_cli import __version__
from talkhead_cli.settings import IRRELEVANT, RenderSettings

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for a real picture with parts that a trained algorithm has made."""

AI_SOURCE_TYPES = frozenset(
    f"http://cv.iptc.org/newscodes/digitalsourcetype/{term}"
    for term in ("compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia")
)
"""Terms that say so; the second is what other programs may write over ours."""

SYSTEM = "talkhead"

APPLE = "com.apple.quicktime."
"""Before the names of tags that Apple's players show."""


def settings_hash(values: Mapping[str, Any], bundles: Mapping[str, str]) -> str:
    """sha256, in hexadecimal, over what a video was made with: the same for all inputs.

    It can be computed again from `settings` and `bundles` of OUT.json: both are written as one JSON object with sorted
    keys, no spaces, and everything but ASCII escaped, without the settings that leave the pictures as they are.

    Args:
        values: settings as JSON-able values; see `hash_of` for a `RenderSettings`.
        bundles: names of the weights that were used, to their sha256.
    """
    decisive = {key: value for key, value in values.items() if key not in IRRELEVANT}
    text = json.dumps(
        {"bundles": dict(bundles), "settings": decisive}, sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def hash_of(settings: RenderSettings, bundles: Mapping[str, str]) -> str:
    """`settings_hash` of settings as they are."""
    return settings_hash(settings.model_dump(mode="json"), bundles)


@dataclass(frozen=True)
class Marks:
    """What a file says of itself.

    Attributes:
        settings_sha256: see `settings_hash`.
        version: of talkhead.
        source_type: address of an IPTC term.
    """

    settings_sha256: str
    version: str = __version__
    source_type: str = SOURCE_TYPE

    @property
    def system(self) -> str:
        """What IPTC calls the AI system used."""
        return SYSTEM

    @property
    def prompt(self) -> str:
        """What IPTC calls the prompt; it does not tell who or what was rendered."""
        return "No text: a picture or film of a face, and speech or motion."

    @property
    def tool(self) -> str:
        """The program that has made the file."""
        return f"{SYSTEM} {self.version}"

    @property
    def statement(self) -> str:
        """For people."""
        return (
            f"AI-generated: the face in these pictures is moved by a computer program ({self.tool}) "
            "and was not filmed like this."
        )

    @property
    def comment(self) -> str:
        """Everything in one line, for readers that know no other tag."""
        return f"{self.statement} Digital source type: {self.source_type} Settings sha256: {self.settings_sha256}"

    def tags(self, muxer: str) -> dict[str, str]:
        """The container's tags.

        Args:
            muxer: ffmpeg's name of the container.
        """
        common = {"comment": self.comment, "description": self.statement, "software": self.tool}
        own = {
            "ai_generated": "true",
            "digital_source_type": self.source_type,
            "settings_sha256": self.settings_sha256,
        }
        if muxer in {"mp4", "mov"}:
            return {**common, **{APPLE + key: value for key, value in common.items()}, **own}
        from talkhead_cli.marking.xmp import build_packet

        # Matroska has attachments, but WebM has not; its tags hold text of any length.
        return {**common, **own, "xmp": build_packet(self)}

    def ffmpeg_options(self, muxer: str) -> dict[str, Any]:
        """ffmpeg's output options that write the tags."""
        # An option of the same name each would be one key only; ffmpeg reads no further than g, for "global".
        tags = enumerate(self.tags(muxer).items())
        return {f"metadata:g:{index}": f"{key}={value}" for index, (key, value) in tags}
