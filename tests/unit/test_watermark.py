"""The invisible watermark: code, embedding and search."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkhead_models.planes import picture_of, planes_of
from talkhead_models.watermark import STRONGEST, WEIGHTS, Watermark
from talkhead_models.watermark_code import (
    HASH_BITS,
    PLACES,
    SYMBOLS,
    VERSION,
    decode_payload,
    encode_payload,
    payload_of,
    show_payload,
)
from talkhead_models.watermark_pattern import correlate, flatten, make_patterns, to_grid, whiten
from talkhead_models.watermark_search import (
    aligned,
    find_watermark,
    mean_luma,
    searched,
    without_bars,
)

payloads = st.integers(0, (1 << HASH_BITS) - 1).map(lambda rest: VERSION << HASH_BITS | rest)


def luma_of(picture: np.ndarray) -> np.ndarray:
    """(H, W) float32."""
    return (picture[..., :3] @ np.array(WEIGHTS)).astype(np.float32)


@pytest.fixture(scope="module")
def marked(astronaut: np.ndarray) -> np.ndarray:
    """The astronaut with the payload 0x1abcdef9."""
    return Watermark.create(astronaut, 0x1ABCDEF9).add(astronaut[None])[0]


@given(payloads)
def test_a_payload_comes_back_from_its_symbols(payload: int) -> None:
    symbols = encode_payload(payload)
    assert len(symbols) == SYMBOLS
    assert all(0 <= symbol < PLACES for symbol in symbols)
    assert decode_payload([[symbol] for symbol in symbols]) == payload


@given(payloads, st.lists(st.integers(0, 2), min_size=SYMBOLS, max_size=SYMBOLS), st.randoms())
def test_a_symbol_may_be_the_second_or_third_likeliest(payload, ranks, random) -> None:
    candidates = []
    for symbol, rank in zip(encode_payload(payload), ranks, strict=True):
        others = [(symbol + step) % PLACES for step in random.sample(range(1, PLACES), 2)]
        candidates.append([*others[:rank], symbol, *others[rank:]])
    assert decode_payload(candidates) == payload


@given(st.integers(), st.integers(0, 2**16))
def test_a_payload_of_another_version_is_none_of_ours(version: int, rest: int) -> None:
    payload = (version % 16) << HASH_BITS | rest
    symbols = [[symbol] for symbol in encode_payload(payload)]
    assert (decode_payload(symbols) == payload) == (version % 16 == VERSION)


def test_the_payload_is_the_version_and_the_beginning_of_the_hash() -> None:
    digest = hashlib.sha256(b"settings").hexdigest()
    assert show_payload(payload_of(digest)) == "1" + digest[:7]
    with pytest.raises(ValueError, match="at least 7 digits"):
        payload_of("abc")
    with pytest.raises(ValueError, match="32 bits"):
        encode_payload(1 << 32)


def test_patterns_never_change() -> None:
    # Videos that are out in the world have these.
    first = make_patterns(0x1ABCDEF9, 512, 512)
    again = np.sign(np.round(first[:, ::37, ::41], 2)).astype(np.int8)
    assert hashlib.sha256(again.tobytes()).hexdigest()[:16] == "81e6fa26c8d41faa"


@settings(max_examples=5)
@given(payloads, st.sampled_from([(128, 128), (180, 320), (512, 512), (640, 360), (404, 720)]))
def test_a_payload_is_read_back_at_any_size(payload: int, size: tuple[int, int]) -> None:
    import skimage.data

    width, height = size
    picture = cv2.resize(skimage.data.astronaut(), size, interpolation=cv2.INTER_AREA)
    frame = Watermark.create(picture, payload).add(picture[None])[0]
    assert frame.shape == (height, width, 3)
    found = find_watermark(luma_of(frame))
    assert found.found
    assert found.payload == payload


def noise(seed: int, size: tuple[int, int], coarse: int) -> np.ndarray:
    """(H, W) float32 squares of chance brightness."""
    small = np.random.default_rng(seed).normal(128, 40, [side // coarse + 1 for side in size])
    return np.kron(small, np.ones((coarse, coarse), np.float32))[: size[0], : size[1]].astype("f4")


seeds = st.integers(0, 2**32 - 1)
sizes = st.sampled_from([(128, 128), (320, 180), (512, 512), (90, 333)])
grains = st.sampled_from([1, 4, 16])


@settings(max_examples=20)
@given(seeds, sizes, grains)
def test_noise_has_no_watermark(seed: int, size: tuple[int, int], coarse: int) -> None:
    assert not aligned(noise(seed, size, coarse)).found


@pytest.mark.slow
@given(seeds, sizes, grains)
def test_nor_has_it_one_that_is_cropped(seed: int, size: tuple[int, int], coarse: int) -> None:
    assert not searched(noise(seed, size, coarse)).found


def test_plain_pictures_have_no_watermark() -> None:
    for level in (0, 16, 128, 255):
        assert not aligned(np.full((200, 300), level, np.float32)).found


def test_a_plain_picture_can_carry_it() -> None:
    plain = np.full((512, 512, 3), 200, np.uint8)
    frame = Watermark.create(plain, 0x1000000F).add(plain[None])[0]
    assert np.abs(frame.astype(int) - plain).max() <= 1
    assert find_watermark(luma_of(frame)).payload == 0x1000000F


def test_the_unmarked_picture_has_none(astronaut: np.ndarray) -> None:
    assert not aligned(luma_of(astronaut)).found


@pytest.mark.parametrize("share", [pytest.param(0.02, marks=pytest.mark.slow), 0.05])
def test_it_is_found_in_a_cropped_picture(marked: np.ndarray, share: float) -> None:
    cut = round(512 * share)
    found = find_watermark(luma_of(marked[cut // 3 : 512 - cut + cut // 3, cut // 2 : -cut // 2]))
    assert found.payload == 0x1ABCDEF9


def test_it_is_found_between_black_bars(marked: np.ndarray) -> None:
    framed = np.pad(marked, ((0, 0), (200, 200), (0, 0)))
    assert without_bars(luma_of(framed)).shape == (512, 512)
    assert find_watermark(luma_of(framed)).payload == 0x1ABCDEF9


def test_it_is_found_scaled_and_stretched(marked: np.ndarray) -> None:
    for size in ((720, 720), (405, 720), (300, 300)):
        scaled = cv2.resize(marked, size, interpolation=cv2.INTER_AREA)
        assert find_watermark(luma_of(scaled)).payload == 0x1ABCDEF9


def test_it_is_faint_and_fainter_on_smooth_walls(astronaut: np.ndarray) -> None:
    levels = Watermark.create(astronaut, 0x1ABCDEF9).levels
    assert np.abs(levels).max() <= 2
    assert levels.std() < 1.1 * STRONGEST
    # Behind the head is a wall; the suit is textured.
    assert levels[20:100, 300:360].std() < 0.85 * levels[260:500, 60:240].std()
    # No blotches: nothing of it is left where an eye would see it, in means of 32 x 32 pixels.
    means = levels.reshape(16, 32, 16, 32).mean((1, 3))
    assert np.abs(means).max() < 0.12


def test_every_kind_of_frame_gets_the_same(astronaut: np.ndarray) -> None:
    small = astronaut[:256, :256]
    mark = Watermark.create(small, 0x1ABCDEF9)
    inner = np.clip(small, 8, 247)  # away from the ends, where bytes stop
    rgb = mark.add(inner[None])[0].astype(int) - inner
    assert (rgb == mark.levels[..., None]).all()
    alpha = np.random.default_rng(0).integers(0, 256, (256, 256, 1)).astype(np.uint8)
    rgba = mark.add(np.dstack([inner, alpha])[None])[0]
    assert (rgba[..., 3:] == alpha).all()
    assert (rgba[..., :3].astype(int) - inner == rgb).all()
    planes = planes_of(inner)
    changed = mark.add(planes[None])[0].astype(int) - planes
    assert (changed[:256] == mark.levels).all()
    assert not changed[256:].any()
    assert find_watermark(luma_of(picture_of(mark.add(planes[None]))[0])).payload == 0x1ABCDEF9


def test_bytes_do_not_wrap_around() -> None:
    for level in (0, 255):
        plain = np.full((128, 128, 3), level, np.uint8)
        frame = Watermark.create(plain, 1 << HASH_BITS).add(plain[None])[0]
        assert np.abs(frame.astype(int) - level).max() <= 2


def test_frames_of_another_size_are_refused(astronaut: np.ndarray) -> None:
    mark = Watermark.create(astronaut, 1)
    for shape in ((1, 256, 256, 3), (1, 512, 512, 2), (1, 512, 512)):
        with pytest.raises(ValueError, match="512x512"):
            mark.add(np.zeros(shape, np.uint8))


def test_all_patterns_are_found_about_equally_well(astronaut: np.ndarray) -> None:
    mark = Watermark.create(astronaut, 0x1ABCDEF9)
    frame = mark.add(astronaut[None])[0]
    spectrum = whiten(flatten(to_grid(luma_of(frame))), 512, 512)
    scores = [float(correlate(spectrum, index).max()) for index in range(1 + SYMBOLS)]
    assert min(scores) > 0.7 * max(scores) > 7


def test_the_mean_leaves_frames_of_other_sizes_out() -> None:
    one, other = np.full((4, 6, 3), 10, np.uint8), np.full((2, 2, 3), 90, np.uint8)
    np.testing.assert_allclose(mean_luma([one, other, one]), np.full((4, 6), 10), rtol=1e-6)
    with pytest.raises(ValueError, match="no frame"):
        mean_luma([])
