"""ARKit blendshapes: the names and ranges that the convention asks for, and what each shape moves."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.arkit import CURVES, LOOK, ArkitShapes, from_arkit, to_arkit
from talkhead_models.arkit_shapes import ABSENT, ROTATIONS, SHAPES, shape_expression, shape_moves
from talkhead_models.basis import NECK_PIVOT, FaceBasis, lip_gaps, rotation_matrix
from talkhead_models.motion import APPEARANCE_SIZE, MOTION_SIZE, FaceMotion

APPLE_TEXT = """
eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft eyeWideLeft
eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight eyeSquintRight eyeWideRight
jawForward jawLeft jawRight jawOpen
mouthClose mouthFunnel mouthPucker mouthLeft mouthRight mouthSmileLeft mouthSmileRight mouthFrownLeft mouthFrownRight
mouthDimpleLeft mouthDimpleRight mouthStretchLeft mouthStretchRight mouthRollLower mouthRollUpper mouthShrugLower
mouthShrugUpper mouthPressLeft mouthPressRight mouthLowerDownLeft mouthLowerDownRight mouthUpperUpLeft mouthUpperUpRight
browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight
cheekPuff cheekSquintLeft cheekSquintRight noseSneerLeft noseSneerRight tongueOut
"""
"""ARFaceAnchor.BlendShapeLocation, in the order of its documentation."""

BASIS = FaceBasis.load()
RATE = Fraction(25)

# Points of the mesh; left and right as in the picture.
LEFT_CORNER, RIGHT_CORNER, CHIN, NOSE, FOREHEAD = 61, 291, 152, 1, 10


def curves_of(**values: float) -> np.ndarray:
    """One frame (1, 61) of a few coefficients."""
    row = np.zeros((1, len(CURVES)), np.float32)
    for name, value in values.items():
        row[0, CURVES.index(name)] = value
    return row


def motion_of(**values: float) -> FaceMotion:
    return from_arkit(curves_of(**values), BASIS, RATE)


def moved(**values: float) -> np.ndarray:
    """Displacement (478, 3) that coefficients ask for."""
    return BASIS.deltas(motion_of(**values).expression)[0]


def gap(**values: float) -> float:
    """Opening of the middle of the mouth, in outer-eye distances."""
    return float(BASIS.lip_gap(motion_of(**values).expression)[0])


def test_the_names_are_apples_in_apples_order() -> None:
    assert len(SHAPES) == 52
    assert [name[0].lower() + name[1:] for name in SHAPES] == APPLE_TEXT.split()
    sides = [f"{side}Eye{axis}" for side in ("Left", "Right") for axis in ("Yaw", "Pitch", "Roll")]
    assert list(ROTATIONS) == ["HeadYaw", "HeadPitch", "HeadRoll", *sides]
    assert CURVES == SHAPES + ROTATIONS


def test_every_shape_is_carried_by_something_or_named_as_absent() -> None:
    eyes = {name for name in SHAPES if name.startswith(("EyeBlink", "EyeWide", "EyeLook"))}
    carried = set(ArkitShapes.of(BASIS).names)
    assert carried | eyes | set(ABSENT) == set(SHAPES)
    assert len(carried) + len(eyes) + len(ABSENT) == len(SHAPES)


@given(seed=st.integers(0, 2**32 - 1), size=st.sampled_from([0.1, 1.0, 8.0]))
@settings(max_examples=4)
def test_shapes_are_from_0_to_1_and_angles_in_radians(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    array = size * rng.normal(size=(12, MOTION_SIZE)).astype(np.float32)
    motion = FaceMotion.from_array(array)
    curves = to_arkit(motion, BASIS)
    assert curves.shape == (12, 61)
    assert curves.dtype == np.float32
    shapes, eyes = curves[:, :52], curves[:, 55:]
    assert shapes.min() >= 0
    assert shapes.max() <= 1
    assert not curves[:, [CURVES.index(name) for name in ABSENT]].any()
    assert np.abs(eyes).max() <= np.float32(np.pi / 2)
    np.testing.assert_array_equal(np.abs(curves[:, [53, 52, 54]]), np.abs(motion.rotation))


def test_rest_is_zero_both_ways() -> None:
    rest = FaceMotion.from_array(np.zeros((2, MOTION_SIZE), np.float32))
    curves = to_arkit(rest, BASIS)
    assert not curves.any()
    assert not np.signbit(curves).any()
    back = from_arkit(curves, BASIS, RATE)
    assert not back.to_array().any()
    assert back.appearance.shape == (2, APPEARANCE_SIZE)


@pytest.mark.parametrize("name", ArkitShapes.of(BASIS).names)
def test_shape_moves_its_points_as_it_is_told(name: str) -> None:
    """Most of the way that its points are asked to go, they go."""
    delta = moved(**{name: 1.0})
    went = asked = 0.0
    for move in shape_moves(BASIS)[name]:
        for axis, value in enumerate((move.x, move.y, move.z)):
            if value:
                went += float(delta[list(move.points), axis].sum()) * value
                asked += value * value * len(move.points)
    assert 0.75 < went / asked < 1.05


def test_shapes_do_what_their_names_say() -> None:
    assert gap(JawOpen=1) == pytest.approx(0.36, abs=0.04)
    assert moved(JawOpen=1)[CHIN, 1] > 0.3
    assert abs(gap(JawOpen=1, MouthClose=1)) < 0.02
    assert moved(JawOpen=1, MouthClose=1)[CHIN, 1] > 0.3
    assert gap(MouthFunnel=1) > 0.05
    assert abs(gap(MouthPucker=1)) < 0.02
    narrow = moved(MouthPucker=1)
    assert narrow[LEFT_CORNER, 0] > 0.05
    assert narrow[RIGHT_CORNER, 0] < -0.05
    # The face's own left is the picture's right.
    smile = moved(MouthSmileLeft=1)
    assert smile[RIGHT_CORNER, 1] < -0.07
    assert smile[RIGHT_CORNER, 0] > 0.05
    assert abs(smile[LEFT_CORNER, 1]) < 0.6 * abs(smile[RIGHT_CORNER, 1])
    assert moved(JawLeft=1)[CHIN, 0] > 0.08
    assert moved(MouthLeft=1)[[13, 14], 0].min() > 0.05
    assert moved(BrowInnerUp=1)[[55, 285], 1].max() < -0.05
    assert moved(BrowDownLeft=1)[334, 1] > 0.04
    assert moved(JawForward=1)[CHIN, 2] < -0.05


@pytest.mark.parametrize(
    "name", [name for name in ArkitShapes.of(BASIS).names if name.endswith("Left")]
)
def test_right_shapes_are_the_left_ones_mirrored(name: str) -> None:
    moves = shape_moves(BASIS)
    left = shape_expression(moves[name], BASIS)
    right = shape_expression(moves[name.removesuffix("Left") + "Right"], BASIS)
    np.testing.assert_allclose(
        BASIS.deltas((left @ BASIS.mirror)[None]), BASIS.deltas(right[None]), atol=0.003
    )


def test_eyes_have_the_sides_and_signs_of_the_face() -> None:
    assert motion_of(EyeBlinkLeft=1).lids.tolist() == [[0, 1]]
    assert motion_of(EyeWideRight=1).lids[0] == pytest.approx([-0.4, 0])
    # Both to the picture's right, and up.
    look = motion_of(EyeLookOutLeft=1, EyeLookInRight=1, EyeLookUpLeft=1, EyeLookUpRight=1)
    assert look.gaze[0] == pytest.approx([LOOK[0], -LOOK[1]])
    curves = dict(zip(CURVES, to_arkit(look, BASIS)[0], strict=True))
    for name in ("EyeLookOutLeft", "EyeLookInRight", "EyeLookUpLeft", "EyeLookUpRight"):
        assert curves[name] == pytest.approx(1)
    for name in ("LeftEyeYaw", "RightEyeYaw", "LeftEyePitch", "RightEyePitch"):
        assert 0.2 < curves[name] < 0.8


def test_head_angles_have_the_signs_that_the_page_tells() -> None:
    def turned(point: int, **angles: float) -> np.ndarray:
        """Where a point of the head goes to: right, down, away from the camera."""
        matrix = rotation_matrix(motion_of(**angles).rotation)[0]
        lever = BASIS.mean[point] - NECK_PIVOT
        return matrix @ lever - lever

    assert turned(NOSE, HeadYaw=0.2)[0] > 0.1  # to the picture's right
    assert turned(NOSE, HeadPitch=0.2)[1] < -0.1  # up
    assert turned(FOREHEAD, HeadRoll=0.2)[0] < -0.1  # counterclockwise
    motion = motion_of(HeadYaw=0.1, HeadPitch=-0.2, HeadRoll=0.3)
    np.testing.assert_array_equal(to_arkit(motion, BASIS)[0, 52:55], np.float32([0.1, -0.2, 0.3]))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=3)
def test_sums_of_shapes_come_back_as_the_same_face(seed: int) -> None:
    """What shapes can say survives the way there and back, whichever of them say it."""
    rng = np.random.default_rng(seed)
    curves = np.zeros((16, 61), np.float32)
    chosen = rng.choice(len(SHAPES), (16, 3))
    np.put_along_axis(curves, chosen, rng.uniform(0, 0.6, (16, 3)).astype(np.float32), 1)
    first = from_arkit(curves, BASIS, RATE)
    again = from_arkit(to_arkit(first, BASIS), BASIS, RATE)
    meshes = [BASIS.mean + BASIS.deltas(motion.expression) for motion in (first, again)]
    assert np.abs(lip_gaps(meshes[0]) - lip_gaps(meshes[1])).max() < 0.02
    assert np.abs(meshes[0] - meshes[1]).max() < 0.05
    np.testing.assert_allclose(first.gaze, again.gaze, atol=1e-6)


def test_small_changes_of_a_face_are_small_changes_of_coefficients() -> None:
    rng = np.random.default_rng(3)
    array = rng.normal(size=(50, MOTION_SIZE)).astype(np.float32)
    nudged = array + 0.01 * rng.normal(size=array.shape).astype(np.float32)
    columns = [CURVES.index(name) for name in ArkitShapes.of(BASIS).names]
    both = [to_arkit(FaceMotion.from_array(rows), BASIS)[:, columns] for rows in (array, nudged)]
    assert np.abs(both[0] - both[1]).max() < 0.05
