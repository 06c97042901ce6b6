"""The networks of a preset, loaded once and shared by any number of pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from talkhead_models.appearance import AppearanceEncoder, load_appearance_encoder
from talkhead_models.basis import FaceBasis
from talkhead_models.bundle import BundleError, bundle_path, read_checked, weights_folder
from talkhead_models.detail import Detail, load_detail
from talkhead_models.generator import MotionGenerator
from talkhead_models.generator_bundle import load_motion_generator
from talkhead_models.lip_audio import LIP_AUDIO, LipAudioEncoder, load_lip_audio
from talkhead_models.refiner import Refiner, load_refiner
from talkhead_models.speech_kinds import WIDE_SIZE

REFINERS = {"mouth": "refiner-mouth", "eyes": "refiner-eyes"}
"""Patch name to bundle name."""

DETAIL = "detail"
"""Bundle of the network that paints the mouths of large faces at their resolution."""

APPEARANCE = "appearance"
"""Bundle of the network that reads the look of a mouth off a picture."""


@dataclass(frozen=True)
class Networks:
    """What a preset's bundle loads; shared by pipelines whose settings differ in other things.

    Attributes:
        bundle: name of the generator's bundle.
        device: where they lie.
        basis: the face model.
        generator: makes motion from speech.
        refiners: by patch name.
        detail: paints the mouths of large faces; None leaves them at the refiner's size.
        appearance: reads the look of a mouth off a picture.
        lip_audio: second encoder of speech, where the generator reads features of every kind; else None.
        hashes: bundle name to sha256 of what was loaded.
    """

    bundle: str
    device: str
    basis: FaceBasis
    generator: MotionGenerator
    refiners: dict[str, Refiner]
    detail: Detail | None
    appearance: AppearanceEncoder
    lip_audio: LipAudioEncoder | None
    hashes: dict[str, str]

    @classmethod
    def load(cls, bundle: str, device: str) -> Networks:
        """Load them.

        Raises:
            BundleError: a bundle is missing, damaged, or not what its name says.
        """
        with fitting_bundles():
            return cls._load(bundle, device)

    @classmethod
    def _load(cls, bundle: str, device: str) -> Networks:
        generator = load_motion_generator(bundle, device=device)
        wide = generator.denoiser.config.feature_size == WIDE_SIZE
        names = ("face-basis", bundle, *REFINERS.values(), DETAIL, APPEARANCE)
        names += (LIP_AUDIO,) if wide else ()
        return cls(
            bundle=bundle,
            device=device,
            basis=FaceBasis.load(),
            generator=generator,
            refiners={patch: load_refiner(name).to(device) for patch, name in REFINERS.items()},
            detail=load_detail(DETAIL).to(device),
            appearance=load_appearance_encoder(APPEARANCE),
            lip_audio=load_lip_audio(LIP_AUDIO, device) if wide else None,
            hashes={name: read_checked(bundle_path(name))[1] for name in names},
        )


@contextmanager
def fitting_bundles() -> Iterator[None]:
    """Tell of bundles that are whole and hold another network than their name says.

    Raises:
        BundleError: one does.
    """
    try:
        yield
    except BundleError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "state_dict" not in str(error):
            raise  # the device's
        words = " ".join(str(error).split())[:200]
        raise BundleError(
            f"A bundle in {weights_folder()} is not what its name says ({words}): reinstall talkhead."
        ) from error
