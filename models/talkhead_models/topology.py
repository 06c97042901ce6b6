"""Index sets of the 478-point face mesh (MediaPipe Face Mesh with attention; names as seen in the picture).

"Left" and "right" are the viewer's. Points 0 to 467 are the face, 468 to 472 and 473 to 477 the two irises (centre
first). The triangle list itself travels in the `face-basis` bundle.
"""

from __future__ import annotations

NUM_POINTS = 478
NUM_FACE_POINTS = 468

# fmt: off
FACE_OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176,
             149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
"""36 points, clockwise in the picture from the top of the forehead."""

UPPER_INNER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
"""Inner lip contours from left to right, without the corners; same length, so that they pair."""
INNER_CORNERS = (78, 308)
UPPER_OUTER_LIP = (185, 40, 39, 37, 0, 267, 269, 270, 409)
LOWER_OUTER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375)
OUTER_CORNERS = (61, 291)
UPPER_MIDDLE_LIP = (183, 42, 41, 38, 12, 268, 271, 272, 407, 184, 74, 73, 72, 11, 302, 303, 304, 408)
LOWER_MIDDLE_LIP = (96, 89, 179, 86, 15, 316, 403, 319, 325, 77, 90, 180, 85, 16, 315, 404, 320, 307)
CORNER_RINGS = (62, 76, 292, 306)

INNER_LIPS = (INNER_CORNERS[0], *UPPER_INNER_LIP, INNER_CORNERS[1], *reversed(LOWER_INNER_LIP))
"""The mouth hole as a closed polygon."""
LIPS = (*INNER_LIPS, *UPPER_OUTER_LIP, *LOWER_OUTER_LIP, *OUTER_CORNERS, *UPPER_MIDDLE_LIP, *LOWER_MIDDLE_LIP,
        *CORNER_RINGS)

EYE_CORNERS = ((33, 133), (362, 263))
"""Per eye, left corner and right corner."""
UPPER_LIDS = ((246, 161, 160, 159, 158, 157, 173), (398, 384, 385, 386, 387, 388, 466))
LOWER_LIDS = ((7, 163, 144, 145, 153, 154, 155), (382, 381, 380, 374, 373, 390, 249))
"""Lid margins from left to right without the corners; same length, so that they pair."""
ABOVE_LIDS = ((247, 30, 29, 27, 28, 56, 190), (414, 286, 258, 257, 259, 260, 467))
HIGH_LIDS = ((113, 225, 224, 223, 222, 221, 189), (413, 441, 442, 443, 444, 445, 342))
BELOW_LIDS = ((25, 110, 24, 23, 22, 26, 112), (341, 256, 252, 253, 254, 339, 255))
IRIS_CENTRES = (468, 473)
BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 336, 296, 334, 293, 300, 285, 295, 282, 283, 276)
OUTER_EYES = (33, 263)
"""The outer eye corners, whose distance is the unit of length of the canonical frame."""

STABLE = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 19, 33, 133, 362, 263, 127, 356, 234, 454, 162, 389, 21, 251, 54,
          284, 103, 332, 67, 297, 109, 338, 104, 333, 69, 299, 108, 337, 193, 417, 122, 351, 188, 412, 174, 399, 98,
          327, 116, 345, 143, 372, 35, 265, 227, 447)
"""Points that speech hardly moves: forehead, nose, temples, eye corners. Head pose is fitted to these."""
CHIN = (152, 148, 176, 149, 150, 377, 400, 378, 379, 199, 200, 18, 175, 171, 396, 208, 428, 201, 421, 194, 418, 83,
        313, 182, 406, 32, 262, 140, 369, 170, 395, 211, 431, 204, 424)
# fmt: on


def lid_points() -> tuple[int, ...]:
    """All points that the lids move; the expression basis leaves them alone."""
    rings = (*UPPER_LIDS, *LOWER_LIDS, *ABOVE_LIDS, *BELOW_LIDS)
    return tuple(point for ring in rings for point in ring)
