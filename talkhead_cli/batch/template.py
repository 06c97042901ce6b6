"""Examples of manifests, with comments, for people to begin from."""

from __future__ import annotations

from typing import Literal

RULES = """\
# A manifest of talkhead: one row a video. Lines that begin with # are comments.
#
#   portrait   picture with a face, or a film of a person to be dubbed
#   audio      recording of speech; may be empty where the clip in drive has the sound
#   drive      film of a face whose motion is used instead of generated motion (optional)
#   style      film of a person in whose way the generated motion is to move (optional)
#   output     name of the video, ending in .mp4 (.mov for ProRes); may hold folders; empty takes the name of the audio
#
# Paths are relative to this file, outputs to --out-dir. Any render option may be a column, under its own name:
#
#   preset, bundle, seed, num_inference_steps, chunk_frames, lookahead_frames, guidance_scale, pose_scale,
#   expression_scale, blink_scale, emotion, emotion_strength, gaze, still, drive_pose, face, face_backend, background,
#   crop, size, fps, crf, video_codec, encoder, alpha, label, marking, max_seconds
#
# An empty cell means "not given": then the command line's option counts, then the preset, then the default.
# consent_ref names the consent of the person shown (200 characters at most), for the video's JSON file.
# Your own columns are carried into the results unread: id, note, and whatever begins with x-.
"""

CSV_RULES = """\
#
# Save as CSV in UTF-8; commas, semicolons and tabs are all understood. Put cells that hold the separator, a quotation
# mark or a line break into "quotation marks".
"""

CSV_ROWS = """\
portrait,audio,output,seed,pose_scale,x-scene
faces/ann.png,speech/welcome.wav,ann/welcome.mp4,,,opening
faces/ann.png,speech/goodbye.wav,ann/goodbye.mp4,7,0.5,"closing, calm"
faces/bob.jpg,speech/welcome.wav,bob/welcome.mp4,,,opening
"""

JSON_ROWS = """\
{"portrait": "faces/ann.png", "audio": "speech/welcome.wav", "output": "ann/welcome.mp4", "x-scene": "opening"}
{"portrait": "faces/ann.png", "audio": "speech/goodbye.wav", "output": "ann/goodbye.mp4", "seed": 7, "pose_scale": 0.5}
{"portrait": "faces/bob.jpg", "audio": "speech/welcome.wav", "output": "bob/welcome.mp4", "x-scene": "opening"}
"""


def template(kind: Literal["csv", "jsonl"] = "csv") -> str:
    """A manifest of three rows that says how manifests are written."""
    return RULES + (CSV_RULES + CSV_ROWS if kind == "csv" else JSON_ROWS)
