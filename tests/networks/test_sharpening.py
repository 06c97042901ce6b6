"""Mouths are sharpened where they are open: as if all of the window had been."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from talkhead_models import sharpening
from talkhead_models.detail import WINDOW, Detail, DetailConfig, enlarge
from talkhead_models.sharpening import Box, Sharpener, box_around, enlarge_part, window_frame
from talkhead_models.warp import coverage, transform

HEIGHT, WIDTH = (part.stop - part.start for part in WINDOW)
FRAME = np.array([[0.5, 0.02, 3], [-0.02, 0.5, -7]], np.float32)


def make_sharpener(levels: int) -> Sharpener:
    torch.manual_seed(0)
    detail = Detail(DetailConfig(channels=8, blocks=2)).eval()
    for parameter in detail.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    sizes = [(HEIGHT << level, WIDTH << level) for level in range(1, levels + 1)]
    own = [(torch.rand(1, 3, *size) - 0.5, torch.rand(1, 1, *size)) for size in sizes]
    return Sharpener(detail, own, 0.8)


def lips(opening: float, centre: tuple[float, float]) -> np.ndarray:
    """An outline in pixels of the picture; `centre` and `opening` in those of the patch."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    patch = np.stack(
        [centre[0] + 20 * np.cos(angle), centre[1] + opening * np.sin(angle)], 1
    ).astype(np.float32)
    inverse = np.linalg.inv(np.vstack([FRAME, [0, 0, 1]]))[:2].astype(np.float32)
    return transform(patch, inverse)


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("opening", [0.0, 3.0, 14.0])
@pytest.mark.parametrize("centre", [(48, 52), (30, 30), (66, 78)])
@torch.inference_mode()
def test_the_hole_is_what_it_would_be_if_all_had_been_sharpened(
    levels: int, opening: float, centre: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    sharpener, outline = make_sharpener(levels), lips(opening, centre)
    whole = torch.rand(1, 3, HEIGHT, WIDTH) - 0.5
    part, box = sharpener.sharpen(whole, outline, FRAME)
    monkeypatch.setattr(sharpening, "MARGIN", 1000)
    everything, all_of_it = sharpener.sharpen(whole, outline, FRAME)
    assert all_of_it == (0, HEIGHT << levels, 0, WIDTH << levels)
    if opening < 10:
        assert part.shape[2] < 0.5 * everything.shape[2]
    points = transform(outline, window_frame(FRAME, levels))
    hole = coverage(points, (WIDTH << levels, HEIGHT << levels)) > 0
    near = torch.nn.functional.max_pool2d(torch.from_numpy(hole)[None, None].float(), 7, 1, 3)
    placed = everything.clone()
    placed[..., box.slices[0], box.slices[1]] = part
    difference = (placed - everything).abs().amax(1, keepdim=True)
    assert difference[near > 0].max() < 1e-5
    assert near.sum() > 0


@given(
    st.tuples(st.integers(-400, 600), st.integers(-400, 600)),
    st.tuples(st.integers(0, 300), st.integers(0, 300)),
)
def test_a_box_is_never_empty_and_lies_in_the_window(
    corner: tuple[int, int], extent: tuple[int, int]
) -> None:
    points = np.array([corner, np.add(corner, extent)], np.float32)
    box = box_around(points, (288, 224))
    assert 0 <= box.top < box.bottom <= 224
    assert 0 <= box.left < box.right <= 288
    assert all(edge % sharpening.STEP == 0 for edge in box)


@hypothesis_settings(max_examples=30)
@given(st.data())
def test_a_part_is_enlarged_as_the_whole_is(data: st.DataObject) -> None:
    whole = torch.rand(1, 3, 20, 30)
    edges = sorted(data.draw(st.sets(st.integers(0, 20), min_size=2, max_size=2)))
    sides = sorted(data.draw(st.sets(st.integers(0, 30), min_size=2, max_size=2)))
    inner = Box(2 * edges[0], 2 * edges[1], 2 * sides[0], 2 * sides[1])
    part = enlarge_part(whole, Box(0, 20, 0, 30), inner)
    rows, columns = inner.slices
    torch.testing.assert_close(part, enlarge(whole)[..., rows, columns])
