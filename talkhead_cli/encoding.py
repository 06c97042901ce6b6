"""How pictures are encoded: colours, quality and speed, by codec and encoder, as ffmpeg's output options."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from talkhead_cli.formats import ENCODERS

SPEEDS = {"h264": "veryfast", "hevc": "veryfast", "av1": "10"}
"""Encoder presets: the slowest that still keeps ahead of the renderer on two CPU cores."""

TAGS = {"hevc": "hvc1"}
"""Tags of video streams that Apple's players insist on."""

TAGGED = ("mp4", "mov")
"""Containers that have such tags."""

SOFTWARE: dict[str, dict[str, Any]] = {
    "h264": {"threads": 4},
    "hevc": {"x265-params": "frame-threads=2:log-level=error"},
    "av1": {},
    "prores": {"profile:v": "hq", "vendor": "apl0"},
    "prores4444": {"profile:v": "4444", "vendor": "apl0", "alpha_bits": 16},
    # Alternate reference frames and transparency exclude each other.
    "vp9": {
        "video_bitrate": 0,
        "deadline": "good",
        "cpu-used": 5,
        "row-mt": 1,
        "threads": 4,
        "auto-alt-ref": 0,
        "metadata:s:v:0": "alpha_mode=1",
    },
}
"""Encoder options, among them those that make the bits the same whatever the machine; SVT-AV1's do not depend on its
threads, nor do ProRes's and VP9's."""

LOW_DELAY: dict[str, dict[str, Any]] = {
    "h264": {"tune": "zerolatency"},
    "hevc": {"tune": "zerolatency"},
    "av1": {"svtav1-params": "pred-struct=1:lookahead=0"},
}
"""Encoder options that hold no picture back, at the price of a larger file."""

PIXELS = {"prores": "yuv422p10le", "prores4444": "yuva444p10le", "vp9": "yuva420p"}
"""Pixel formats; yuv420p where there is none."""

EDITORS = frozenset({"prores", "prores4444"})
"""Codecs of editing programs, which take BT.709 for granted."""

OWN_TAGS = "+use_metadata_tags"
"""Flag of the MP4 and QuickTime muxers: tags are not only those that iTunes knows."""

VAAPI_DEVICE = "/dev/dri/renderD128"


def matrix_of(codec: str) -> tuple[str, str]:
    """The matrix from RGB to YUV, as ffmpeg's scaler and as its tags call it.

    BT.601 is a JPEG's own. Players follow the tag; readers that ignore it (OpenCV's, for one) take BT.601 at all sizes.
    """
    return ("bt709", "bt709") if codec in EDITORS else ("bt601", "smpte170m")


def picture_filter(codec: str, pixels: str, planes: bool = False) -> str:
    """From sRGB, full range, or from planes of it, to limited range YUV that is tagged as what it is."""
    scaler, tag = matrix_of(codec)
    scale = "" if planes else f"scale=in_range=full:out_range=limited:out_color_matrix={scaler},"
    return (
        f"{scale}format={pixels},"
        f"setparams=color_primaries=bt709:color_trc=bt709:colorspace={tag}:range=limited"
    )


def picture_options(
    codec: str, encoder: str, crf: int, fps: Fraction, planes: bool = False
) -> dict[str, Any]:
    """How pictures are encoded.

    Args:
        codec: key of `ENCODERS`.
        encoder: ffmpeg's name: the codec's in `ENCODERS`, or a hardware encoder.
        crf: quality, smaller = better; ProRes has one quality.
        fps: frames a second.
        planes: pictures come as planes already.
    """
    hardware = encoder != ENCODERS[codec]
    pixels = "nv12" if hardware and codec not in EDITORS else PIXELS.get(codec, "yuv420p")
    options: dict[str, Any] = {"vcodec": encoder}
    if hardware:
        options.update(hardware_options(encoder, crf))
    else:
        if codec in SPEEDS:
            options["preset"] = SPEEDS[codec]
        if codec not in EDITORS:
            options["crf"] = crf
        options.update(SOFTWARE[codec])
    if codec not in EDITORS:
        options["g"] = max(1, round(2 * fps))
    chain = picture_filter(codec, pixels, planes)
    if encoder.endswith("_vaapi"):
        chain += ",hwupload"
    else:
        options["pix_fmt"] = pixels
    options |= {
        "vf": chain,
        "colorspace": matrix_of(codec)[1],
        "color_primaries": "bt709",
        "color_trc": "bt709",
        "color_range": "tv",
    }
    return options


def hardware_options(encoder: str, crf: int) -> dict[str, Any]:
    """Options of a hardware encoder whose quality is about that of x264 at a crf."""
    family = encoder.rsplit("_", 1)[-1]
    # AMF's and VA-API's quantizers of AV1 count to 255, all others to 51.
    quantizer = max(1, crf) * (5 if encoder in {"av1_amf", "av1_vaapi"} else 1)
    if family == "nvenc":
        return {"preset": "p4", "rc": "vbr", "cq": max(1, crf), "video_bitrate": 0}
    if family == "qsv":
        return {"preset": "veryfast", "global_quality": max(1, crf)}
    if family == "amf":
        return {"quality": "speed", "rc": "cqp", "qp_i": quantizer, "qp_p": quantizer}
    if family == "vaapi":
        return {"rc_mode": "CQP", "global_quality": quantizer}
    if encoder.startswith("prores"):
        return {"profile:v": "hq"}
    # VideoToolbox counts from 1 to 100, larger is better.
    return {"q:v": max(1, round(100 - 2 * crf * 100 / 102)), "allow_sw": 0}


def container_options(muxer: str, marked: bool = False) -> dict[str, Any]:
    """How a file is laid out: the index at the front, the same bytes every time, and tags of any name if marked."""
    if muxer in TAGGED:
        return {"movflags": "+faststart" + (OWN_TAGS if marked else ""), "f": muxer}
    return {"fflags": "+bitexact", "f": muxer}


def device_arguments(encoder: str) -> list[str]:
    """ffmpeg's global options for an encoder's device."""
    return ["-vaapi_device", VAAPI_DEVICE] if encoder.endswith("_vaapi") else []
