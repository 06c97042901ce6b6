"""What trains the lip-informed encoder: the contrastive loss, what counts as alike, dubbing, judging."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "training"))

from dub_clips import lay, warp_path
from lip_audio_parts import (
    LipEncoder,
    Pair,
    PairSampler,
    SoundHead,
    activity,
    info_nce,
    offset_hits,
    readout_correlation,
    retrieval,
    ridge,
    same_motion,
)
from speech_augment import vary_pitch
from train_lip_audio import Learner, losses, main_directions, viseme_loss

from talkhead_models.bundle import load_bundle

SCALE = torch.tensor(10.0)


def toy_lips(batch: int = 6, frames: int = 24, seed: int = 0) -> torch.Tensor:
    """Smooth random lip motion, (B, T, 8)."""
    noise = torch.randn(batch, 8, frames + 4, generator=torch.Generator().manual_seed(seed))
    return functional.avg_pool1d(noise, 5, 1).transpose(1, 2) * 2


def nothing_alike(batch: int, frames: int) -> torch.Tensor:
    return torch.zeros(batch, frames, frames, dtype=torch.bool)


def test_matched_pairs_win() -> None:
    units = functional.normalize(torch.randn(4, 10, 32), dim=2)
    weight, alike = torch.ones(4, 10), nothing_alike(4, 10)
    matched = info_nce(units, units, SCALE, weight, alike)
    shifted = info_nce(units, units.roll(3, 1), SCALE, weight, alike)
    other_clips = info_nce(units, units.roll(1, 0), SCALE, weight, alike)
    assert matched < 0.1
    assert shifted > matched + 3
    assert other_clips > matched + 3


def test_times_that_are_alike_and_neighbours_are_no_negatives() -> None:
    units = functional.normalize(torch.randn(1, 12, 16), dim=2)
    units[:, 8] = units[:, 2]  # the same motion twice
    weight, alike = torch.ones(1, 12), nothing_alike(1, 12)
    strict = info_nce(units, units, SCALE, weight, alike)
    alike[0, 2, 8] = alike[0, 8, 2] = True
    assert info_nce(units, units, SCALE, weight, alike) < strict - 0.05
    everything = torch.ones_like(alike)
    assert info_nce(units, units, SCALE, weight, everything) < 1e-4


def test_still_anchors_count_less() -> None:
    units = functional.normalize(torch.randn(2, 8, 16), dim=2)
    wrong = units.clone()
    wrong[:, 4] = -wrong[:, 4]
    even = torch.ones(2, 8)
    light = even.clone()
    light[:, 4] = 0.05
    alike = nothing_alike(2, 8)
    assert info_nce(units, wrong, SCALE, light, alike) < info_nce(units, wrong, SCALE, even, alike)


def test_loss_falls_on_a_toy_problem() -> None:
    """Sound that is a fixed linear picture of the lips is soon told from other times."""
    torch.manual_seed(0)
    lips = toy_lips()
    sound = (lips @ torch.randn(8, 32)).reshape(6, -1, 16)
    encoder, head = LipEncoder(8, width=16, embedding=16), SoundHead(16)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-2)
    losses = []
    for _ in range(60):
        alike, weight = same_motion(lips, lips), activity(lips)
        loss = info_nce(head(sound), encoder(lips), head.logit_scale.exp(), weight, alike)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 3
    with torch.no_grad():
        best = (head(sound) @ encoder(lips).transpose(1, 2)).argmax(2)
    assert ((best - torch.arange(24)).abs() <= 1).float().mean() > 0.9


def test_same_motion_and_activity() -> None:
    lips = toy_lips(1, 40)
    lips[0, 20:] = lips[0, 20:21]
    alike = same_motion(lips, lips)[0]
    assert alike.diagonal().all()
    assert alike[30, 35]
    assert not alike[5, 30]
    weight = activity(lips)[0]
    assert weight[35] < 0.051
    assert weight[8] > 0.5


def toy_pairs() -> list[Pair]:
    rng = np.random.default_rng(0)
    pairs = []
    for name, person in (("a", "grid_s1"), ("b", "grid_s1"), ("c", "someone"), ("d", "rig")):
        mel = rng.normal(-3, 1, (400, 80)).astype(np.float16)
        lips = toy_lips(1, 100, seed=ord(name))[0].numpy()
        pairs.append(Pair(name, person, [mel, mel[::-1]], lips))
    return pairs


def test_sampler_gives_windows_of_one_time_and_is_deterministic() -> None:
    batch, again = (PairSampler(toy_pairs(), seed=3).batch(4, 30) for _ in range(2))
    assert batch.mel.shape == (4, 120, 80)
    assert batch.lips.shape == (4, 30, 8)
    assert torch.equal(batch.mel, again.mel)
    assert torch.equal(batch.lips, again.lips)
    assert torch.isfinite(batch.mel).all()
    rig = PairSampler(toy_pairs(), seed=3).batch(2, 30, rig=True)
    assert not torch.equal(rig.lips, batch.lips[:2])


def test_every_network_learns_and_the_trunk_begins_as_the_speech_encoders() -> None:
    torch.manual_seed(0)
    pairs = toy_pairs()
    model = Learner(lip_size=8, rig_size=8)
    model.start_from_speech("speech")
    known = load_bundle("speech").tensors
    for name in ("front.0.weight", "blocks.3.dilated.weight", "blocks.0.norm.running_var"):
        assert torch.equal(model.audio.state_dict()[name], known[name].float())
    sampler = PairSampler(pairs, seed=0)
    args = Namespace(batch=3, rig_batch=2, frames=30)
    loss, parts = losses(model, sampler, main_directions(pairs), args)
    crops = {"mel": torch.randn(1, 32, 80) - 3, "viseme": torch.eye(16)[None]}
    crops["labelled"] = torch.ones(1, 16)
    (loss + viseme_loss(model, crops)).backward()
    assert set(parts) == {"match", "rig", "readout", "quiet"}
    without = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # A bias that all times share changes no comparison before the norm, and the readout's is taken off.
    assert without <= {"readout.bias"}


def test_pitch_moves_and_the_envelope_stays() -> None:
    harmonics = np.cos(np.arange(80) * 2.2)[None].repeat(20, 0).astype(np.float32)
    envelope = np.linspace(-2, -5, 80, dtype=np.float32)
    varied = vary_pitch(np.random.default_rng(2), envelope + 0.5 * harmonics)
    smooth = np.convolve(varied[0] - envelope, np.full(9, 1 / 9), "valid")
    assert np.abs(smooth[4:-20]).max() < 0.2
    assert np.corrcoef(varied[0, :60] - envelope[:60], harmonics[0, :60])[0, 1] < 0.9


def test_dubbing_lays_one_timing_on_another() -> None:
    rng = np.random.default_rng(0)
    order = rng.integers(0, 16, 12)
    slow, fast = np.eye(16)[order.repeat(8)], np.eye(16)[order.repeat(5)]
    places, cost = warp_path(slow, fast)
    assert cost < 0.05
    assert len(places) == len(slow)
    mel = order.repeat(10)[:, None].astype(np.float32).repeat(80, 1)
    laid = lay(mel, places, 2 * len(slow))
    wanted = order.repeat(16)
    assert (np.abs(laid[:, 0] - wanted) < 0.5).mean() > 0.8


def test_judging_tells_right_from_wrong() -> None:
    rng = np.random.default_rng(0)
    units = [rng.normal(size=(80, 16)) for _ in range(3)]
    units = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in units]
    places = [np.arange(80)] * 3
    shifted = [np.roll(part, 5, axis=0) for part in units]
    assert retrieval(units, units, places) == 1
    assert retrieval(units, shifted, places) < 0.3
    assert offset_hits(units, units) == 1
    assert offset_hits(units, shifted) == 0
    outputs = [part @ np.arange(16.0) + 3 for part in units]
    weights = ridge(units[:2], outputs[:2], 1e-9)
    assert readout_correlation(weights, units[2:], outputs[2:]) > 0.999
