"""The speech encoder: shapes, bounded context, streaming equal to all at once, bundles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from talkhead_models.bundle import BundleError, save_bundle
from talkhead_models.phones import CMU_VISEMES, cmu_visemes, ipa_visemes
from talkhead_models.speech import (
    NUM_VISEMES,
    VISEMES,
    SpeechConfig,
    SpeechEncoder,
    SpeechFeatures,
    encode_block,
    load_speech_encoder,
    speech_encoder_tensors,
    start_stream,
)


def make_encoder() -> SpeechEncoder:
    """Random weights and running statistics, so that nothing is trivially zero."""
    torch.manual_seed(0)
    encoder = SpeechEncoder(SpeechConfig(channels=32, front_channels=(4, 6, 6)))
    encoder.train()
    for _ in range(3):
        encoder(torch.randn(4, 200, 80) - 3)
    return encoder.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return make_encoder()


def mel_of(steps: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 2 * steps, 80, generator=torch.Generator().manual_seed(seed)) * 2 - 3


def test_shapes(encoder: SpeechEncoder) -> None:
    output = encoder(mel_of(33).repeat(3, 1, 1))
    assert output.visemes.shape == (3, 33, NUM_VISEMES)
    assert output.prosody.shape == (3, 33, 2)


@pytest.mark.parametrize("shape", [(1, 7, 80), (1, 8, 40), (8, 80)])
def test_wrong_shapes_are_refused(encoder: SpeechEncoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="log_mel"):
        encoder(torch.zeros(shape))


def test_parameter_count_and_look_ahead_of_the_real_size() -> None:
    encoder = SpeechEncoder()
    assert 400_000 < sum(p.numel() for p in encoder.parameters()) < 1_000_000
    window_seconds = 0.0125  # of a mel frame, beyond its own hop
    assert encoder.config.right_context / 50 + window_seconds <= 0.24


def test_gradient_reaches_every_parameter() -> None:
    encoder = SpeechEncoder(SpeechConfig(channels=16, front_channels=(4, 4, 4)))
    output = encoder(mel_of(40))
    (output.visemes.square().sum() + output.prosody.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize("size", [3, 10, 37, 64, 500])
def test_stream_equals_all_at_once(encoder: SpeechEncoder, size: int) -> None:
    mel = mel_of(150)
    whole = encoder(mel)
    state, visemes, prosody = start_stream(), [], []
    for start in range(0, mel.shape[1], size):
        block = mel[0, start : start + size].numpy()
        final = start + size >= mel.shape[1]
        part, sound, state = encode_block(encoder, state, block, final)
        visemes.append(part)
        prosody.append(sound)
    np.testing.assert_allclose(np.concatenate(visemes), whole.visemes[0], atol=1e-5)
    np.testing.assert_allclose(np.concatenate(prosody), whole.prosody[0], atol=1e-5)


def test_stream_state_stays_small(encoder: SpeechEncoder) -> None:
    state = start_stream()
    for _ in range(20):
        _, _, state = encode_block(encoder, state, mel_of(50)[0].numpy())
    limit = 2 * (encoder.config.left_context + encoder.config.right_context + 1)
    assert len(state.tail) <= limit


def test_context_is_what_the_config_says(encoder: SpeechEncoder) -> None:
    mel = mel_of(200)
    changed = mel.clone()
    changed[0, 200:202] += 5  # step 100
    difference = (encoder(mel).visemes - encoder(changed).visemes).abs().amax(-1)[0]
    touched = torch.nonzero(difference > 0).flatten()
    assert touched.min() >= 100 - encoder.config.right_context
    assert touched.max() <= 100 + encoder.config.left_context


def test_config_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="lookahead"):
        SpeechConfig(dilations=(1,), lookaheads=(9,))
    with pytest.raises(ValueError, match="lookaheads"):
        SpeechConfig(dilations=(1, 1), lookaheads=(1,))


def test_bundle_round_trip(encoder: SpeechEncoder, tmp_path: Path) -> None:
    tensors, config = speech_encoder_tensors(encoder, half=False)
    save_bundle(tmp_path / "tiny.safetensors", tensors, config, {})
    loaded = load_speech_encoder(tmp_path / "tiny.safetensors")
    mel = mel_of(20)
    torch.testing.assert_close(loaded(mel).visemes, encoder(mel).visemes)
    assert not loaded.training


def test_bundle_of_another_network_is_refused(tmp_path: Path) -> None:
    save_bundle(tmp_path / "other.safetensors", {"weight": torch.zeros(3)}, {"channels": 16}, {})
    with pytest.raises(BundleError, match="not a speech encoder"):
        load_speech_encoder(tmp_path / "other.safetensors")


def test_features_check_their_shape() -> None:
    assert SpeechFeatures(np.zeros((10, 20), np.float32), 0.2).num_frames == 5
    with pytest.raises(ValueError, match="features"):
        SpeechFeatures(np.zeros((9, 20), np.float32), 0.2)


def test_phone_maps() -> None:
    assert len(VISEMES) == NUM_VISEMES == 16
    for phone in ("p", "b", "m", "P", "M"):
        assert [VISEMES[index] for index in cmu_visemes(phone) or ()] == ["PBM"]
    assert cmu_visemes("AH0") == cmu_visemes("ah")
    assert cmu_visemes("SIL") == cmu_visemes("pau") == (0,)
    assert cmu_visemes("xyz") is None
    assert [VISEMES[index] for index in cmu_visemes("ay") or ()] == ["AA", "IY"]
    assert all(1 <= len(v) <= 2 for v in CMU_VISEMES.values())


@pytest.mark.parametrize(
    ("phone", "expected"),
    [
        ("b", ["PBM"]),
        ("aɪ", ["AA", "IY"]),
        ("tʃ", ["SH"]),
        ("ts", ["SZ"]),
        ("ɔ̃", ["OH"]),
        ("iː", ["IY"]),
        ("ts.h", ["SH"]),
        ("ph", ["PBM"]),
        ("ũ", ["UW"]),
        ("ɕ", ["SH"]),
        ("(en)", []),
        ("", []),
    ],
)
def test_ipa(phone: str, expected: list[str]) -> None:
    assert [VISEMES[index] for index in ipa_visemes(phone)] == expected
