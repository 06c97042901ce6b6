"""Pictures as planes: the standard's numbers, and a part of a picture converted into the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from talkhead_models.planes import even_box, picture_of, planes_of, write_planes

WIDTH, HEIGHT = 12, 8
picture = hnp.arrays(np.uint8, (HEIGHT, WIDTH, 3))
even = st.integers(0, 3).map(lambda half: 2 * half)


@settings(deadline=None, max_examples=50)
@given(picture)
def test_numbers_are_the_standards(pixels):
    planes = planes_of(pixels).astype(float)
    red, green, blue = np.moveaxis(pixels.astype(float) / 255, -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    np.testing.assert_allclose(planes[:HEIGHT], 16 + 219 * luma, atol=1)

    def mean(value):
        return value.reshape(HEIGHT // 2, 2, WIDTH // 2, 2).mean((1, 3))

    chroma = planes[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    np.testing.assert_allclose(chroma[0], 128 + 224 * mean((blue - luma) / 1.772), atol=1)
    np.testing.assert_allclose(chroma[1], 128 + 224 * mean((red - luma) / 1.402), atol=1)


@settings(deadline=None, max_examples=50)
@given(picture, picture, even, even)
def test_a_part_is_converted_as_in_the_whole(before, after, x, y):
    changed = before.copy()
    changed[y : y + 2, x : x + 6] = after[y : y + 2, x : x + 6]
    planes = planes_of(before)
    write_planes(changed[y : y + 2, x : x + 6], (x, y), planes)
    np.testing.assert_array_equal(planes, planes_of(changed))


def test_flat_colours_come_back():
    colours = np.random.default_rng(0).integers(0, 256, (40, 3), np.uint8)
    flat = np.broadcast_to(colours[:, None, None], (40, HEIGHT, WIDTH, 3))
    planes = np.stack([planes_of(np.ascontiguousarray(each)) for each in flat])
    assert np.abs(picture_of(planes).astype(int) - flat).max() <= 3


@pytest.mark.parametrize(
    ("box", "expected"),
    [((2, 2, 4, 6), (2, 2, 4, 6)), ((1, 3, 5, 7), (0, 2, 6, 8)), ((0, 0, 12, 8), (0, 0, 12, 8))],
)
def test_boxes_grow_to_whole_chroma_pixels(box, expected):
    assert even_box(box, WIDTH, HEIGHT) == expected
