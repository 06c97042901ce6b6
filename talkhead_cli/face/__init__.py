"""Portraits: reading pictures, finding faces, fitting the mesh, masking the person, checking it all beforehand.

Importing this package loads neither mediapipe nor OpenCV nor torch; they come in when a picture is looked at.
"""

from talkhead_cli.face.backend import BACKENDS, Face, FaceBackend, get_backend, select_face
from talkhead_cli.face.image import PortraitImage, read_portrait_image
from talkhead_cli.face.portrait import Portrait, load_portrait, make_portrait
from talkhead_cli.face.probe import FaceReport, PortraitReport, annotate, probe_portrait

__all__ = [
    "BACKENDS",
    "Face",
    "FaceBackend",
    "FaceReport",
    "Portrait",
    "PortraitImage",
    "PortraitReport",
    "annotate",
    "get_backend",
    "load_portrait",
    "make_portrait",
    "probe_portrait",
    "read_portrait_image",
    "select_face",
]
