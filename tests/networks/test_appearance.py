"""The appearance encoder, the detail network and the painting of patches, at tiny sizes or on synthetic pictures."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from talkhead_models.appearance import (
    AppearanceConfig,
    AppearanceEncoder,
    encode_mouths,
    encode_patches,
    mouth_patch,
)
from talkhead_models.basis import FaceBasis, fit_pose
from talkhead_models.detail import Detail, DetailConfig, enlarge, fine_structure
from talkhead_models.motion import APPEARANCE_SIZE
from talkhead_models.painting import (
    crispness_of,
    grain_of,
    tint_of,
)
from talkhead_models.patches import PatchSource
from talkhead_models.refiner import Refiner, RefinerConfig, own_inside, own_share
from talkhead_models.sharpening import finer, window_at, window_frame

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))
from refiner_parts import augment, measures

SIZE = 96


@pytest.fixture(scope="module")
def encoder() -> AppearanceEncoder:
    torch.manual_seed(0)
    return AppearanceEncoder(AppearanceConfig(channels=(4, 4, 4))).eval()


def test_codes_have_the_motions_width_and_do_not_depend_on_the_batch(encoder):
    rng = np.random.default_rng(0)
    patches = [
        (
            rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8),
            rng.random((SIZE, SIZE)).astype(np.float32),
        )
        for _ in range(35)
    ]
    codes = encode_patches(encoder, patches)
    assert codes.shape == (35, APPEARANCE_SIZE)
    np.testing.assert_allclose(codes[33:34], encode_patches(encoder, patches[33:34]), atol=1e-5)
    assert encode_patches(encoder, []).shape == (0, APPEARANCE_SIZE)


def test_code_reads_the_mouth_and_nothing_around_it(encoder):
    picture, hole = torch.rand(1, 3, SIZE, SIZE), torch.rand(1, 1, SIZE, SIZE)
    code = encoder(picture, hole)
    around, within = picture.clone(), picture.clone()
    around[..., :16, :] = 0
    within[..., 40:56, 40:56] = 0
    assert torch.equal(encoder(around, hole), code)
    assert not torch.allclose(encoder(within, hole), code)


@pytest.mark.parametrize("unit", [60.0, 240.0])
def test_code_hardly_depends_on_the_pictures_size(encoder, unit):
    basis = FaceBasis.load()
    mesh = basis.mean[None] * unit + np.array([2 * unit, 2 * unit, 0], np.float32)
    picture = np.zeros((512, 512, 3), np.uint8)
    picture[:] = np.linspace(40, 200, 512)[:, None, None]
    side = round(4 * unit)
    image = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    patch, hole = mouth_patch(image, mesh[0], basis.mean, one(mesh, basis))
    assert patch.shape == (SIZE, SIZE, 3)
    assert hole.shape == (SIZE, SIZE)
    # The patch's middle row shows the same part of the picture at either size.
    assert (
        abs(float(patch[48].mean()) - float(image[round(mesh[0, [0, 17], 1].mean())].mean())) < 25
    )
    codes = encode_mouths(encoder, [image], mesh, basis.mean, fit_pose(mesh, basis.mean))
    assert np.isfinite(codes).all()


def one(mesh, basis):
    """The pose of the only frame."""
    pose = fit_pose(mesh, basis.mean)
    return type(pose)(*(value[0] for value in pose))


def test_own_mouth_shows_only_where_the_portrait_is_open():
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 10:22, 8:24] = 1
    share = own_share(hole)
    assert share[..., 16, 16] == 1
    assert share[..., 5, 5] == 0
    inside, source = torch.full((1, 3, 32, 32), -0.9), torch.rand(1, 3, 32, 32)
    base = own_inside(inside, source, hole)
    torch.testing.assert_close(base[..., 16, 16], source[..., 16, 16])
    torch.testing.assert_close(base[..., 2, 2], inside[..., 2, 2])
    assert torch.equal(own_inside(inside, source, hole * 0), inside)


def test_code_changes_what_is_painted_and_none_means_zeros():
    config = RefinerConfig(
        width=32, height=16, channels=(8, 8, 8), blocks=1, code_size=3, own_inside=True
    )
    torch.manual_seed(0)
    network = Refiner(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    inputs = tuple(torch.rand(2, c, 16, 32) for c in (3, 3, 1, 3, 1))
    plain = network(*inputs)
    torch.testing.assert_close(network(*inputs, torch.zeros(2, 3)).inside, plain.inside)
    assert not torch.allclose(network(*inputs, torch.ones(2, 3)).inside, plain.inside)
    network(*inputs, torch.ones(2, 3)).inside.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_detail_starts_as_the_rough_picture_and_learns_with_every_parameter():
    network = Detail(DetailConfig(channels=8, blocks=1))
    rough, own = torch.rand(2, 3, 16, 24), torch.rand(2, 3, 16, 24)
    hole, share = torch.rand(2, 1, 16, 24), torch.rand(2, 1, 16, 24)
    torch.testing.assert_close(network(rough, hole, own, share), rough)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network(rough, hole, own, share).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_fine_structure_is_what_halving_loses():
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert fine_structure(flat).abs().max() < 1e-6
    smooth = enlarge(torch.rand(1, 3, 4, 4))
    rough = torch.rand(1, 3, 8, 8)
    assert fine_structure(rough).abs().mean() > 2 * fine_structure(smooth).abs().mean()


def test_finer_frames_point_at_the_same_places():
    """A pixel of the doubled picture lies where interpolation without aligned corners puts it."""
    frame = np.array([[0.5, 0.1, 3], [-0.1, 0.5, -7]], np.float32)
    point = np.array([37.0, 21.0], np.float32)
    coarse = frame[:, :2] @ point + frame[:, 2]
    for level in (1, 2):
        fine = finer(frame, level)
        place = fine[:, :2] @ point + fine[:, 2]
        np.testing.assert_allclose((place + 0.5) / 2**level - 0.5, coarse, atol=1e-4)
        window = window_frame(frame, level)
        rows, columns = window_at(level)
        np.testing.assert_allclose(
            window[:, :2] @ point + window[:, 2] + (columns.start, rows.start), place, atol=1e-3
        )


def test_grain_is_found_on_canvas_and_not_on_smooth_skin():
    rng = np.random.default_rng(0)
    smooth = torch.linspace(-0.5, 0.5, SIZE)[None, None, :, None].expand(1, 3, SIZE, SIZE)
    assert grain_of(smooth, 0) is None
    noise = torch.from_numpy(rng.normal(scale=8 / 127.5, size=(1, 1, SIZE, SIZE))).float()
    grain = grain_of(smooth + noise, 0)
    rows, columns = window_at(0)
    assert grain is not None
    assert grain.shape == (rows.stop - rows.start, columns.stop - columns.start)
    assert 3 < grain.std() < 9


def test_a_blurred_portrait_gets_less_detail():
    rng = np.random.default_rng(0)
    sharp = rng.integers(0, 255, (192, 192, 3), np.uint8)
    soft = cv2.GaussianBlur(sharp, (0, 0), 2)
    values = [
        crispness_of(torch.from_numpy(p).permute(2, 0, 1)[None].float() / 127.5 - 1)
        for p in (sharp, soft)
    ]
    assert values[0] == 1
    assert values[1] < 0.6


def pairs(random: np.random.Generator) -> dict[str, torch.Tensor]:
    picture = torch.from_numpy(random.uniform(-1, 1, (2, 3, SIZE, SIZE)).repeat(2, 0)).float()
    mask = torch.from_numpy(random.random((2, 1, SIZE, SIZE)).repeat(2, 0)).float()
    pictures = {name: picture.clone() for name in ("skin", "inside", "truth", "source")}
    return {**pictures, **{name: mask.clone() for name in ("hole", "region", "source_hole")}}


@pytest.mark.parametrize("seed", range(6))
def test_augmentation_changes_everything_of_a_pair_alike(seed):
    random = np.random.default_rng(seed)
    batch = augment(pairs(random), random)
    for name in ("skin", "inside", "source"):
        torch.testing.assert_close(batch[name], batch["truth"])
    for name, value in batch.items():
        torch.testing.assert_close(value[::2], value[1::2])
        assert torch.isfinite(value).all(), name


def test_measures_of_the_truth_itself_are_perfect():
    batch = pairs(np.random.default_rng(0))
    batch["truth"][1::2] = batch["truth"][1::2].flip(-1)
    table = measures(batch["truth"], batch)
    assert table["error"].max() == 0
    np.testing.assert_allclose(table["sharp"], 1)
    np.testing.assert_allclose(table["change"], table["true_change"])


def face_in(colour: tuple[float, float, float]) -> PatchSource:
    """A face of one colour."""
    mesh = FaceBasis.load().mean * 60 + np.array([128, 128, 0], np.float32)
    image = np.empty((256, 256, 3), np.uint8)
    image[:] = colour
    return PatchSource(image, mesh, np.eye(2, 3, dtype=np.float32), np.zeros(3, np.float32))


@pytest.mark.parametrize(
    "colour", [(224, 172, 145), (141, 97, 75), (250, 222, 205), (120, 110, 108)]
)
def test_complexions_have_no_tint(colour):
    np.testing.assert_allclose(tint_of(face_in(colour)), 1, atol=0.1)


def test_varnish_is_a_tint_of_its_own_colour():
    tint = tint_of(face_in((200, 165, 60)))
    assert tint[2] < 0.75
    assert tint[0] == 1
    assert tint_of(face_in((80, 110, 200)))[2] > 1.2
