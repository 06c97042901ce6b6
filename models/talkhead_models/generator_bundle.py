"""Motion generators as bundles: what is stored, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from talkhead_models.articulation import Articulation
from talkhead_models.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    JointAutoencoder,
    MotionAutoencoder,
)
from talkhead_models.bundle import Bundle, fitting, load_bundle
from talkhead_models.denoiser import Denoiser, DenoiserConfig
from talkhead_models.generator import GeneratorParts, MotionGenerator
from talkhead_models.lip_guide import LipGuide, LipGuideConfig
from talkhead_models.liveliness import EventConfig


def bundle_contents(generator: MotionGenerator) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and config of a generator's bundle; network weights in half precision, statistics in
    single."""
    tensors: dict[str, Tensor] = {}
    autoencoder = generator.autoencoder
    networks: dict[str, torch.nn.Module] = {"denoiser": generator.denoiser}
    configs = {"denoiser": asdict(generator.denoiser.config)}
    if isinstance(autoencoder, JointAutoencoder):
        networks |= {"autoencoder": autoencoder.geometry, "appearance": autoencoder.appearance}
        configs["autoencoder"] = asdict(autoencoder.geometry.config)
        configs["appearance"] = asdict(autoencoder.appearance.config)
    else:
        networks["autoencoder"] = autoencoder
        configs["autoencoder"] = asdict(autoencoder.config)
    if generator.parts.guide is not None:
        networks["guide"] = generator.parts.guide
        configs["guide"] = asdict(generator.parts.guide.config)
    for prefix, network in networks.items():
        exact = {name for name, _ in network.named_buffers()}
        for name, tensor in network.state_dict().items():
            tensors[f"{prefix}.{name}"] = tensor if name in exact else tensor.half()
    articulation = generator.parts.articulation
    for name in ("gaps", "rest", "moves"):
        tensors[f"articulation.{name}"] = torch.from_numpy(getattr(articulation, name).copy())
    config = {
        **configs,
        "events": asdict(generator.parts.events),
        "style": [float(number) for number in generator.parts.style],
        "open_gap": articulation.open_gap,
        "distilled": generator.parts.distilled,
    }
    return tensors, config


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, in single precision, without it."""
    return {
        name.removeprefix(f"{prefix}."): t.float()
        for name, t in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def load_part(bundle: Bundle, name: str) -> MotionAutoencoder:
    """One autoencoder of a bundle."""
    autoencoder = MotionAutoencoder(AutoencoderConfig(**bundle.config[name]))
    autoencoder.load_state_dict(part_of(bundle.tensors, name))
    return autoencoder


def load_guide(bundle: Bundle) -> LipGuide | None:
    """The lip guide of a bundle that has one."""
    if "guide" not in bundle.config:
        return None
    guide = LipGuide(LipGuideConfig(**bundle.config["guide"]))
    guide.load_state_dict(part_of(bundle.tensors, "guide"))
    return guide


def generator_from_bundle(bundle: Bundle, device: str = "cpu") -> MotionGenerator:
    """A generator from a loaded bundle.

    Raises:
        BundleError: the bundle is not a motion generator's, or of another version.
    """
    config = bundle.config
    with fitting(bundle.name, "a motion generator of this version"):
        geometry = load_part(bundle, "autoencoder")
        autoencoder: Autoencoder = geometry
        if "appearance" in config:
            autoencoder = JointAutoencoder(geometry, load_part(bundle, "appearance"))
        denoiser = Denoiser(DenoiserConfig(**config["denoiser"]))
        denoiser.load_state_dict(part_of(bundle.tensors, "denoiser"))
        maps = {name: t.numpy() for name, t in part_of(bundle.tensors, "articulation").items()}
        articulation = Articulation(**maps, open_gap=config["open_gap"])
        parts = GeneratorParts(
            articulation,
            EventConfig(**config["events"]),
            np.array(config["style"], np.float32),
            config["distilled"],
            load_guide(bundle),
        )
        return MotionGenerator(autoencoder, denoiser, parts, device)


def load_motion_generator(name: str | Path = "talkhead", device: str = "cpu") -> MotionGenerator:
    """Load a motion generator by bundle name or path.

    Raises:
        BundleError: the bundle is missing, damaged or no motion generator.
    """
    return generator_from_bundle(load_bundle(name), device)
