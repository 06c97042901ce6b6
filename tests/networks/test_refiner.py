"""The refiner at a tiny size."""

import pytest
import torch

from talkhead_models.refiner import Refiner, RefinerConfig, compose, feather_mask, load_refiner

TINY = RefinerConfig(width=32, height=16, channels=(8, 8, 8), blocks=1)


def patches(batch: int = 2, config: RefinerConfig = TINY) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    return tuple(torch.rand(batch, c, config.height, config.width) for c in (3, 3, 1, 3, 1))


def test_starts_as_the_warp_itself():
    skin, inside, hole, source, source_hole = patches()
    out = compose(skin, inside, hole, Refiner(TINY)(skin, inside, hole, source, source_hole))
    torch.testing.assert_close(out, (1 - hole) * skin + hole * inside)


def test_gradient_reaches_every_parameter():
    network = Refiner(TINY)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    skin, inside, hole, *rest = patches()
    compose(skin, inside, hole, network(skin, inside, hole, *rest)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_nothing_changes_at_the_patch_border():
    network = Refiner(TINY)
    torch.nn.init.normal_(network.head.weight)
    residuals = network(*patches())
    for value in residuals:
        assert value[..., 0, :].abs().max() < 1e-6
        assert value[..., :, 0].abs().max() < 1e-6
        assert value.abs().max() > 1e-3


def test_feather_is_one_in_the_middle():
    mask = feather_mask(16, 32, 0.3)[0, 0]
    assert mask[8, 16] == pytest.approx(1)
    assert mask.min() == 0


def test_odd_sizes_are_refused():
    with pytest.raises(ValueError, match="multiples of 16"):
        RefinerConfig(width=90)


def test_shipped_refiner_paints_inside_the_mouth():
    network = load_refiner("refiner-mouth")
    skin, inside, hole, source, source_hole = patches(1, network.config)
    with torch.inference_mode():
        residuals = network(skin, inside * 0 - 0.8, hole * 0 + 1, source, source_hole)
    assert residuals.inside.abs().mean() > 0.02
