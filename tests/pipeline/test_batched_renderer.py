"""The batched renderer against the OpenCV one: the same frames but for rounding."""

from __future__ import annotations

import copy
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from talkhead_cli.devices import model_errors
from talkhead_cli.errors import OutOfMemory
from talkhead_cli.face import Portrait, load_portrait
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.playback import SavedMotion
from talkhead_cli.settings import RenderSettings
from talkhead_models.basis import FaceBasis
from talkhead_models.batched.planes import PlaneWriter
from talkhead_models.batched.raster import edges_of
from talkhead_models.batched.renderer import BatchRenderer
from talkhead_models.batched.upload import Parcel
from talkhead_models.detail import load_detail
from talkhead_models.motion import MOTION_SIZE, FaceMotion
from talkhead_models.planes import planes_of
from talkhead_models.refiner import load_refiner
from talkhead_models.renderer import FaceRenderer
from tests.conftest import ROOT

MEAN, RARE = 0.3, 4.0
"""Levels of 255 that frames may differ by in the mean, and that one value of a thousand may exceed."""


@pytest.fixture(scope="module")
def networks() -> dict[str, object]:
    return {
        "basis": FaceBasis.load(),
        "refiners": {name: load_refiner(f"refiner-{name}") for name in ("mouth", "eyes")},
        "detail": load_detail(),
    }


def lively(frames: int) -> FaceMotion:
    """Rest, shut and nearly shut eyes, then speech with a turning, nodding, nearing head and wandering eyes."""
    rng = np.random.default_rng(3)
    array = np.zeros((frames, MOTION_SIZE), np.float32)
    array[:, :32] = rng.normal(scale=0.35, size=(frames, 32))
    array[:, 0] = np.linspace(0.3, -2.2, frames)
    array[:, 34:36] = rng.normal(scale=0.06, size=(frames, 2))
    array[:, 36:39] = rng.normal(scale=0.08, size=(frames, 3))
    array[:, 39:42] = rng.normal(scale=0.04, size=(frames, 3))
    array[:, 42:] = rng.normal(scale=0.7, size=(frames, MOTION_SIZE - 42))
    array[0] = 0
    array[1:2, 32:34], array[2:3, 32:34], array[3:4, 32] = 1, 0.9, 0.5
    return FaceMotion.from_array(array)


def render_both(plain: FaceRenderer, device: str = "cpu", frames: int = 5, **options: object):
    motion = plain.body.limits.apply(lively(frames))
    breath = np.linspace(0, 1, frames).astype(np.float32)
    batched = BatchRenderer(plain, device, **options)
    return plain.render(motion, breath), batched.render(motion, breath)


def assert_same_pictures(expected: np.ndarray, found: np.ndarray, box: tuple[int, ...]) -> None:
    """As `MEAN` and `RARE` have it, in every frame's moving box; nothing at all outside of it."""
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    error = np.abs(expected.astype(int) - found)
    x0, y0, x1, y1 = box
    moving = error[:, y0:y1, x0:x1]
    assert moving.mean((1, 2, 3)).max() < MEAN
    assert np.percentile(moving, 99.9) <= RARE
    assert moving.sum() == error.sum()
    # The frames are worth comparing.
    assert np.abs(np.diff(expected.astype(int), axis=0)).mean((1, 2, 3)).min() > MEAN


@pytest.fixture(scope="module")
def plain(portrait: Portrait, networks: dict[str, object]) -> FaceRenderer:
    return FaceRenderer.create(portrait.image, portrait.mesh, portrait.person_mask, **networks)


def test_frames_are_those_of_the_cpu(plain):
    expected, found = render_both(plain)
    assert_same_pictures(expected, found, plain.body.box)


def test_planes_are_those_of_the_cpu(portrait, networks):
    """With a moving box that begins and ends in the middle of chroma pixels."""
    arguments = portrait.image, portrait.mesh, portrait.person_mask, networks["basis"], {}
    plain = FaceRenderer.create(*arguments)
    batched = BatchRenderer(plain, "cpu")
    motion = lively(3)
    expected, found = plain.render_planes(motion), batched.render_planes(motion)
    assert found.shape == expected.shape == (3, 450, 300)
    error = np.abs(expected.astype(int) - found)
    assert error.mean() < MEAN
    assert np.percentile(error, 99.9) <= RARE
    x0, y0, x1, y1 = 7, 5, 290, 201
    writer = PlaneWriter(portrait.image, (x0, y0, x1, y1), torch.device("cpu"))
    noise = np.random.default_rng(0).integers(0, 256, (1, y1 - y0, x1 - x0, 3), np.uint8)
    picture = portrait.image.copy()
    picture[y0:y1, x0:x1] = noise[0]
    found = writer.write(torch.from_numpy(noise).permute(0, 3, 1, 2).float())[0].numpy()
    assert np.abs(planes_of(picture).astype(int) - found).max() <= 1


def test_networks_in_half_precision_make_the_same_frames(plain):
    expected, found = render_both(plain, frames=2, half=True)
    assert_same_pictures(expected, found, plain.body.box)


def test_a_person_cut_by_the_border_without_background_or_networks(portrait, networks):
    """Not square, the face at the left border, no wall behind it; the picture must not be written to."""
    image = np.ascontiguousarray(portrait.image[20:280, 90:250])
    image.flags.writeable = False
    mesh = portrait.mesh - np.array([90, 20, 0], np.float32)
    assert mesh[:, 0].min() < 25
    everywhere = np.ones(image.shape[:2], np.float32)
    plain = FaceRenderer.create(image, mesh, everywhere, networks["basis"], {})
    assert not plain.body.has_background
    expected, found = render_both(plain)
    assert_same_pictures(expected, found, plain.body.box)


def test_each_frame_stands_alone(plain):
    motion = lively(3)
    batched = BatchRenderer(plain, "cpu")
    together, alone = batched.render(motion), batched.render(motion[2:])
    # Boxes of another size, convolutions of another order: a level here and there.
    assert np.abs(together[2].astype(int) - alone[0]).max() <= 2


def test_frames_with_alpha_are_those_of_the_cpu(portrait, networks):
    plain = FaceRenderer.create(
        portrait.image, portrait.mesh, portrait.person_mask, networks["basis"], {}
    )
    plain.cutout = plain.body.cut_out(*portrait.matte())
    expected, found = render_both(plain, frames=3)
    assert expected.shape[3] == 4
    assert found.shape == expected.shape
    alpha = expected[..., 3]
    assert np.abs(alpha.astype(int) - found[..., 3]).mean() < MEAN
    assert (alpha == 0).mean() > 0.05
    error = np.abs(expected[..., :3].astype(int) - found[..., :3])
    assert error[alpha > 0].mean() < MEAN
    # Colours of faint pixels are a quotient of small numbers.
    assert np.percentile(error[alpha > 40], 99.9) <= RARE
    assert error.mean() < 2 * MEAN


def test_transparent_pictures_before_a_colour(portrait, networks):
    """As from the CPU, and what the networks paint ends inside an outline there, too; here one through the mouth."""
    matte = portrait.person_mask
    share = matte[..., None]
    white = np.rint(portrait.image * share + 255 * (1 - share)).astype(np.uint8)
    plain = FaceRenderer.create(white, portrait.mesh, matte, **networks)
    half = matte.copy()
    half[:, : round(float(portrait.mesh[13, 0]))] = 0
    plain.keep_inside(half)
    plain.flatten(matte, (255, 255, 255), (0, 90, 0))
    clear = np.flatnonzero(matte[0] == 0)
    expected, found = render_both(plain, frames=4)
    assert (expected[:, 0, clear] == (0, 90, 0)).all()
    assert_same_pictures(expected, found, plain.body.box)


def test_everything_stays_on_the_device(portrait, networks, monkeypatch):
    """On torch's device of tensors without values, which can be neither mixed with the CPU's nor waited for."""
    meta = torch.device("meta")
    parts = copy.deepcopy(networks)
    plain = FaceRenderer.create(portrait.image, portrait.mesh, portrait.person_mask, **parts)
    for painter in plain.painters:
        assert painter.refiner is not None
        painter.refiner.to(meta)
        painter.crop, painter.hole = painter.crop.to(meta), painter.hole.to(meta)
        if painter.sharpener is not None:
            painter.sharpener.detail.to(meta)
            painter.sharpener.own = [(a.to(meta), b.to(meta)) for a, b in painter.sharpener.own]

    def send(parcel: Parcel, device: torch.device) -> None:
        parcel._tensors = [torch.empty(a.shape, device=device) for a in parcel._arrays]

    def draw(corners: torch.Tensor, size: tuple[int, int], engine: str) -> torch.Tensor:
        """As triton's kernel, beside which nothing is done on the CPU."""
        assert engine == "triton"
        edges = edges_of(corners, size)
        return edges.low.new_full((len(corners), size[1], size[0]), -1)

    monkeypatch.setattr(Parcel, "send", send)
    monkeypatch.setattr("talkhead_models.batched.renderer.raster_last", draw)
    opaque = BatchRenderer(plain, meta, engine="triton")
    plain.cutout = plain.body.cut_out(*portrait.matte())
    clear = BatchRenderer(plain, meta, engine="triton")
    height, width = portrait.image.shape[:2]
    planes, frames = opaque.frames(lively(4), planes=True), clear.frames(lively(4))
    assert planes.shape == (4, height * 3 // 2, width)
    assert frames.shape == (4, height, width, 4)
    assert frames.device == planes.device == meta


def test_the_pipeline_can_use_it(portrait):
    settings = RenderSettings(device="cpu", seed=3, still=True)
    plain = TalkingHeadPipeline(settings)
    batched = TalkingHeadPipeline(settings, plain.networks, batched=True)
    assert (plain.batched, batched.batched) == (False, True)
    assert batched.max_frames > plain.max_frames
    source = SavedMotion(lively(6))
    expected = np.concatenate(list(plain.render(portrait, source, 7)))
    playback = batched.render(portrait, source, 7)
    found = np.concatenate(list(playback))
    assert len(found) == 7
    assert np.abs(expected.astype(int) - found).mean() < MEAN


def test_too_little_memory_of_a_gpu_is_told(portrait, monkeypatch):
    """The batch is made in another thread; its error is the render's."""

    def render(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(BatchRenderer, "render", render)
    pipeline = TalkingHeadPipeline(RenderSettings(device="cpu"), batched=True)
    with pytest.raises(OutOfMemory), model_errors():
        list(pipeline.render(portrait, SavedMotion(lively(2)), 2))


def test_batches_fit_into_memory(plain, monkeypatch):
    batched = BatchRenderer(plain, "cpu")
    assert batched.most_frames() > 16
    monkeypatch.setattr("talkhead_models.batched.renderer.CPU_MEMORY", 1 << 20)
    assert batched.most_frames() == 1


def test_stages_are_measured_and_counted(plain, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from roofline import measure, print_table

    renderer = BatchRenderer(plain, "cpu")
    costs, frames = measure(renderer, lively(2), np.zeros(2, np.float32), 1)
    assert frames == 2
    assert {"prepare (CPU)", "raster", "networks", "warp", "finish", "copy out"} <= set(costs)
    # Half a billion multiplications and additions a frame, and nearly no others.
    assert 0.3e9 < costs["networks"].flops / 2 < 5e9
    assert costs["networks"].flops > 10 * sum(costs[name].flops for name in ("raster", "warp"))
    x0, y0, x1, y1 = plain.body.box
    # The warp writes four planes of floats at least.
    assert costs["warp"].moved > 2 * 16 * (x1 - x0) * (y1 - y0)
    assert all(cost.seconds > 0 for name, cost in costs.items())
    print_table(costs, frames, 1e12, 1e12, "A title")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + 1 + len(costs) + 1


@pytest.mark.slow
def test_speed_of_the_batched_renderer(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import speed

    options = ["--renderer", "batched", "--seconds", "0.4", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["speed.py", *options])
    speed.main()
    printed = capsys.readouterr().out
    assert "end to end" in printed
    assert "torch draws triangles" in printed


@pytest.mark.slow
@pytest.mark.parametrize("width", [512, 1100])
def test_frames_of_large_faces_are_those_of_the_cpu(width, hopper_png, tmp_path, networks):
    """Mouths painted at twice and four times the resolution."""
    path = tmp_path / "large.png"
    with Image.open(hopper_png) as image:
        image.resize((width, width * 600 // 512), Image.Resampling.LANCZOS).save(path)
    portrait = load_portrait(path)
    plain = FaceRenderer.create(portrait.image, portrait.mesh, portrait.person_mask, **networks)
    assert plain.painters[0].levels == (1 if width == 512 else 2)
    expected, found = render_both(plain)
    assert_same_pictures(expected, found, plain.body.box)


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["torch", "triton"])
def test_frames_of_a_gpu_are_those_of_the_cpu(engine, portrait, networks):
    if engine == "triton":
        pytest.importorskip("triton")
    arguments = portrait.image, portrait.mesh, portrait.person_mask
    plain = FaceRenderer.create(*arguments, **networks)
    motion = plain.body.limits.apply(lively(16))
    expected = plain.render(motion)
    parts = copy.deepcopy(networks)
    for network in (parts["detail"], *parts["refiners"].values()):
        network.to("cuda")
    on_gpu = FaceRenderer.create(*arguments, **parts, device="cuda")
    found = BatchRenderer(on_gpu, "cuda", engine).render(motion)
    assert_same_pictures(expected, found, plain.body.box)
