"""The lip-informed audio encoder and the wide features: shapes, streaming equal to all at once, silence, bundles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from talkhead_cli.audio import features_of
from talkhead_models.bundle import BundleError, save_bundle, verify_bundle
from talkhead_models.lip_audio import (
    LIP_CONFIG,
    LIP_SIZE,
    LipAudioEncoder,
    WideStream,
    load_lip_audio,
    wide_columns,
)
from talkhead_models.speech import (
    SpeechConfig,
    SpeechEncoder,
    SpeechFeatures,
    speech_encoder_tensors,
)
from talkhead_models.speech_kinds import (
    KINDS,
    LIPS,
    MEL,
    MEL_FLOOR,
    VISEMES,
    WIDE_SIZE,
    pool_mel,
    silent_features,
)

RATE = 16_000


def small(config: SpeechConfig) -> SpeechConfig:
    return SpeechConfig(
        channels=16,
        front_channels=(4, 4, 4),
        dilations=config.dilations,
        lookaheads=config.lookaheads,
    )


def make_lips() -> LipAudioEncoder:
    """Random weights and running statistics, so that nothing is trivially zero."""
    torch.manual_seed(0)
    encoder = LipAudioEncoder(small(LIP_CONFIG))
    encoder.train()
    for _ in range(3):
        encoder(torch.randn(4, 100, 80) - 3)
    encoder.calibrate(torch.randn(4, 100, 80) - 3)
    return encoder.eval().requires_grad_(False)


LIP_ENCODER = make_lips()
SPEECH_ENCODER = SpeechEncoder(small(SpeechConfig())).eval().requires_grad_(False)


def mel_of(steps: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(-3, 2, (2 * steps, 80)), MEL_FLOOR).astype(np.float32)


def test_kinds_are_side_by_side() -> None:
    assert [KINDS[name] for name in ("visemes", "mel", "lips")] == [VISEMES, MEL, LIPS]
    columns = [i for kind in (VISEMES, MEL, LIPS) for i in range(kind.start, kind.stop)]
    assert columns == list(range(WIDE_SIZE))


def test_pooled_mel_is_a_mean_of_bands_and_frames() -> None:
    mel = mel_of(7)
    pooled = pool_mel(mel)
    assert pooled.shape == (7, 20)
    np.testing.assert_allclose(pooled[3, 5], (mel[6:8, 20:24].mean() + 7) / 4, rtol=1e-5)
    with pytest.raises(ValueError, match="log_mel"):
        pool_mel(mel[:5])


def test_wide_features_are_features() -> None:
    features = silent_features(10, WIDE_SIZE)
    assert SpeechFeatures(features, 0.2).num_frames == 5
    with pytest.raises(ValueError, match="20 or 56"):
        SpeechFeatures(features[:, :40], 0.2)


def test_digital_silence_is_zero() -> None:
    silence = np.full((90, 80), MEL_FLOOR, np.float32)
    assert np.abs(wide_columns(LIP_ENCODER, silence)).max() < 1e-4
    assert np.abs(wide_columns(LIP_ENCODER, mel_of(45))).max() > 0.1


def test_speech_is_of_size_one_after_calibration() -> None:
    mel = torch.randn(4, 100, 80, generator=torch.Generator().manual_seed(5)) - 3
    encoder = make_lips()
    encoder.calibrate(mel)
    torch.testing.assert_close(
        encoder(mel).flatten(0, 1).std(0), torch.ones(LIP_SIZE), atol=1e-3, rtol=0
    )


def test_gradient_reaches_every_parameter() -> None:
    encoder = LipAudioEncoder(small(LIP_CONFIG))
    encoder(torch.from_numpy(mel_of(40))[None]).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_look_ahead_is_within_that_of_the_visemes() -> None:
    visemes = SpeechConfig()
    assert LIP_CONFIG.right_context <= visemes.right_context
    assert LIP_CONFIG.left_context <= visemes.left_context


@given(
    steps=st.integers(1, 90),
    sizes=st.lists(st.integers(0, 70), min_size=1, max_size=8),
    seed=st.integers(0, 5),
)
def test_blocks_equal_the_whole(steps: int, sizes: list[int], seed: int) -> None:
    mel = mel_of(steps, seed)
    whole = wide_columns(LIP_ENCODER, mel)
    assert whole.shape == (steps, WIDE_SIZE - MEL.start)
    stream, parts, start = WideStream(LIP_ENCODER), [], 0
    for size in sizes:
        stream.push(mel[start : start + size])
        start = min(start + size, len(mel))
        settled = max(0, start // 2 - LIP_CONFIG.right_context - sum(map(len, parts)))
        parts.append(stream.take(settled))
    stream.push(mel[start:], final=True)
    parts.append(stream.take(steps - sum(map(len, parts))))
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    with pytest.raises(ValueError, match="settled"):
        stream.take(1)


@given(
    num_samples=st.integers(1, 20_000),
    sizes=st.lists(st.integers(1, 9_000), min_size=1, max_size=6),
)
def test_features_of_blocks_equal_those_of_the_whole(num_samples: int, sizes: list[int]) -> None:
    wave = np.random.default_rng(num_samples).normal(0, 0.1, num_samples).astype(np.float32)
    edges = np.minimum(np.cumsum([0, *sizes]), num_samples)
    blocks = [wave[a:b] for a, b in zip(edges, [*edges[1:], num_samples], strict=True)]

    def features(pieces: list[np.ndarray], lips: LipAudioEncoder | None) -> np.ndarray:
        return np.concatenate(list(features_of(iter(pieces), SPEECH_ENCODER, lips)))

    whole = features([wave], LIP_ENCODER)
    assert whole.shape == (-(-num_samples // 640) * 2, WIDE_SIZE)
    np.testing.assert_allclose(features(blocks, LIP_ENCODER), whole, atol=1e-4)
    np.testing.assert_array_equal(features([wave], None), whole[:, VISEMES])


def test_bundle_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    tensors, config = speech_encoder_tensors(LIP_ENCODER, half=False)
    save_bundle(path, tensors, config, {})
    mel = torch.from_numpy(mel_of(20))[None]
    torch.testing.assert_close(load_lip_audio(path)(mel), LIP_ENCODER(mel))


def test_bundle_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_bundle(path, *speech_encoder_tensors(SPEECH_ENCODER), {})
    with pytest.raises(BundleError, match="not a lip-informed audio encoder"):
        load_lip_audio(path)


def test_shipped_bundle() -> None:
    bundle = verify_bundle("lip-audio")
    assert sum(t.numel() * t.element_size() for t in bundle.tensors.values()) < 1_000_000
    assert bundle.metadata["data_tier"] == "permissive"
    encoder = load_lip_audio()
    assert encoder.config == LIP_CONFIG
    assert np.abs(wide_columns(encoder, np.full((60, 80), MEL_FLOOR, np.float32))).max() < 0.02
