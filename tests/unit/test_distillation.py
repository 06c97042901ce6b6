"""Losses and walks of distillation against what is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from talkhead_models.distillation import (
    asynchronous_times,
    distribution_matching,
    identity_anchor,
    jump_loss,
    matching_times,
    snr_weight,
    temporal_regularisation,
    trajectory,
)
from talkhead_models.sampling import (
    FIRST_TIME,
    noise_level,
    sample,
    schedule,
    signal,
    target_for_step,
    training_target,
)

KINDS = ("velocity", "noise", "clean")


def linear_teacher(kind, mean=0.3, deviation=0.8):
    """The best prediction for latents of a known Gaussian: linear in what is seen."""

    def predict(noisy, time, target):
        a, b = signal(time)[:, None, None], noise_level(time)[:, None, None]
        share = a * deviation**2 / (a**2 * deviation**2 + b**2)
        clean = mean + share * (noisy - a * mean)
        return training_target(clean, (noisy - a * clean) / b, time, kind)

    return predict


@pytest.mark.parametrize("kind", KINDS)
def test_the_walk_ends_where_sampling_ends(kind) -> None:
    noise = torch.randn(3, 4, 2)
    points = trajectory(linear_teacher(kind), noise, 6, kind)
    assert points.shape == (7, 3, 4, 2)
    assert torch.equal(points[0], noise)
    torch.testing.assert_close(points[-1], sample(linear_teacher(kind), noise, 6, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_one_step_student_of_a_linear_teacher_is_exact(kind) -> None:
    """A linear teacher's walk is a linear map from noise to latents; a student with a weight and a
    bias, fitted to the targets of distillation, makes that map in one step."""
    torch.manual_seed(0)
    noise = torch.randn(64, 2, 1)
    points = trajectory(linear_teacher(kind), noise, 50, kind)
    start, end = torch.full((64,), FIRST_TIME), torch.zeros(64)
    wanted = target_for_step(points[0], points[-1], start, end, kind)
    design = torch.stack([noise.flatten(), torch.ones(noise.numel())], 1).double()
    fitted = torch.linalg.lstsq(design, wanted.flatten().double()[:, None]).solution

    def student(noisy, time, target):
        return (fitted[0] * noisy + fitted[1]).float()

    loss = jump_loss(student(noise, start, end), points[0], points[-1], (start, end), kind)
    assert float(loss) < 1e-6
    fresh = torch.randn(64, 2, 1)
    many = sample(linear_teacher(kind), fresh, 50, kind)
    torch.testing.assert_close(sample(student, fresh, 1, kind), many, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_jump_costs_what_it_misses_over_its_length(kind) -> None:
    noisy, reached = torch.randn(2, 3, 4, 5).unbind()
    times = torch.tensor([0.9, 0.6, 0.98]), torch.tensor([0.4, 0.0, 0.0])
    wanted = target_for_step(noisy, reached, *times, kind)
    assert float(jump_loss(wanted, noisy, reached, times, kind)) < 1e-6
    missed = jump_loss(wanted, noisy, reached + 0.5, times, kind)
    reach = torch.sin((times[0] - times[1]) * torch.pi / 2)
    assert float(missed) == pytest.approx(float((0.25 / reach).mean()), rel=1e-3)


def test_the_anchor_holds_rest_and_liveliness() -> None:
    motion = torch.randn(4, 50, 3)
    scale = torch.tensor([1.0, 2.0, 0.0])
    assert float(identity_anchor(motion, motion, scale)) == 0
    assert float(identity_anchor(motion.flip(1), motion, scale)) < 1e-9  # order is free
    shifted = identity_anchor(motion + torch.tensor([1.0, 0, 0]), motion, scale)
    assert float(shifted) == pytest.approx(1 / 3, rel=1e-3)
    louder = identity_anchor(2 * motion, motion, scale)
    assert float(louder) > 0.1
    ignored = identity_anchor(motion + torch.tensor([0, 0, 9.0]), motion, scale)
    assert float(ignored) < 1e-9


def test_flicker_costs_and_an_offset_does_not() -> None:
    wanted = torch.randn(2, 20, 3)
    weight = torch.ones(3)
    assert float(temporal_regularisation(wanted + 5, wanted, weight)) < 1e-9
    flicker = torch.zeros(2, 20, 3)
    flicker[:, ::2] = 0.1
    quick = temporal_regularisation(wanted + flicker, wanted, weight)
    slow = temporal_regularisation(
        wanted + 0.1 * torch.linspace(0, 1, 20)[None, :, None], wanted, weight
    )
    assert float(quick) > 100 * float(slow)
    mouth = temporal_regularisation(wanted + flicker, wanted, torch.tensor([2.0, 0, 0]))
    assert float(mouth) == pytest.approx(float(quick) * 4 / 3, rel=1e-4)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 100))
def test_asynchronous_times_fall_into_the_past(chunks: int, chunk_steps: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    times = asynchronous_times(16, chunks * chunk_steps, chunk_steps, generator)
    assert times.shape == (16, chunks * chunk_steps)
    assert float(times.min()) >= 0
    assert float(times.max()) <= FIRST_TIME + 1e-6
    blocks = times.reshape(16, chunks, chunk_steps)
    assert torch.equal(blocks, blocks[..., :1].expand_as(blocks))  # one level a chunk
    levels = blocks[..., 0]
    together = (levels == levels[:, :1]).all(1)
    ahead = levels[~together]
    # Before the chunk at work nearly clean, behind it noise: at most one level lies between.
    between = ((ahead > 0.15) & (ahead < FIRST_TIME)).sum(1)
    assert bool((between <= 1).all())


def test_matching_pulls_to_the_real_distribution() -> None:
    made = torch.zeros(2, 3, 4, requires_grad=True)
    real, fake = torch.ones(2, 3, 4), torch.zeros(2, 3, 4)
    distribution_matching(made, real, fake).backward()
    assert made.grad is not None
    assert bool((made.grad < 0).all())  # a step down the gradient goes towards the real
    made.grad = None
    distribution_matching(made, real, real).backward()
    assert float(made.grad.abs().max()) == 0  # where both scores agree nothing moves


def test_matching_moves_a_gaussian_onto_another() -> None:
    """With exact scores the samples' mean ends at the real one."""
    torch.manual_seed(0)
    shift = torch.zeros(1, 1, 1, requires_grad=True)
    optimiser = torch.optim.SGD([shift], lr=0.05)
    for _ in range(300):
        made = shift + 0.5 * torch.randn(64, 1, 1)
        time = matching_times(64)
        noisy = signal(time)[:, None, None] * made.detach() + noise_level(time)[
            :, None, None
        ] * torch.randn(64, 1, 1)

        def best(mean, noisy=noisy, time=time):
            a, b = signal(time)[:, None, None], noise_level(time)[:, None, None]
            return mean + a * 0.25 / (a**2 * 0.25 + b**2) * (noisy - a * mean)

        loss = distribution_matching(made, best(1.5), best(shift.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(shift.detach()) == pytest.approx(1.5, abs=0.15)


def test_what_is_noise_is_worth_nothing() -> None:
    worth = snr_weight(schedule_tensor())
    assert float(worth[0]) < 0.01
    assert float(worth[-1]) == 1
    assert bool((worth.diff(dim=0) > 0).all())


def schedule_tensor() -> torch.Tensor:
    return torch.tensor(schedule(5))
