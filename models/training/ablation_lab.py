"""The laboratory of the ablations: small networks trained on one pool of windows, and measured.

Every network is trained once and kept under a key of its options, steps and seed; asking again loads
it. Networks are narrower than the shipped ones (`recipes.small`), so that each trains in about a
minute on one core: differences between rows are what the tables are about, not the level.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from appearance_style import share_appearance
from generator_data import Batch, WindowPool, load_autoencoders
from generator_parts import fit_parts
from generator_training import Limit, Run, distil, take_over, train_teacher
from motion_data import Clip, WindowSampler, load_clips
from motion_metrics import (
    drift_curve,
    drift_summary,
    generated,
    lip_distance,
    summary,
    trial_motions,
)
from motion_statistics import MotionStatistics
from phone_sync import Phones, read_phones
from recipes import Recipe, small
from splits import SINGLE_SPEAKER
from student_losses import guided, in_the_middle
from torch import Tensor
from train_autoencoder import lip_matrix

from talkhead_models.basis import FaceBasis
from talkhead_models.denoiser import Conditions, Denoiser, DenoiserConfig
from talkhead_models.generator import GenerateOptions, MotionGenerator
from talkhead_models.motion import FaceMotion
from talkhead_models.sampling import chunk_noise, sample
from talkhead_models.speech_kinds import WIDE_SIZE
from talkhead_models.streaming import StreamState, as_tensor, silence, speech_windows

log = logging.getLogger("ablation_lab")

Numbers = dict[str, float]

GUIDANCE = 1.5
LONG_SECONDS = 600
KNOWN_SPEAKER_CLIPS = 8
"""Held-out clips of the single speaker that are judged; all those of other people are."""


@dataclass(frozen=True)
class Sizes:
    """How long the small networks train.

    Attributes:
        windows: in the pool.
        teacher_steps, teacher_batch: of a teacher.
        student_steps, student_batch: of a student.
    """

    windows: int = 6000
    teacher_steps: int = 600
    teacher_batch: int = 32
    student_steps: int = 150
    student_batch: int = 24


class Lab:
    """Data, trainings and measures of the ablations."""

    def __init__(self, data: Path, work: Path, speech: Path, sizes: Sizes, *, wide: bool) -> None:
        """Load the clips; windows are drawn when the first network is trained.

        Args:
            data: folder with clips.csv.
            work: what the stages before have prepared.
            speech: folder of flite_*.phones; their features are in `work`.
            sizes: of the trainings.
            wide: with all kinds of speech features.
        """
        self.data, self.work, self.speech, self.sizes, self.wide = data, work, speech, sizes, wide
        self.basis = FaceBasis.load()
        self.lips = lip_matrix(self.basis)
        runs = work / "runs"
        self.autoencoder = load_autoencoders(runs / "autoencoder.pt", runs / "appearance.pt")
        self.folder = work / "ablate"
        self.folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def clips(self) -> list[Clip]:
        """Training clips."""
        return share_appearance(
            load_clips(self.data, self.work, self.basis, wide=self.wide), self.basis
        )

    @cached_property
    def pool(self) -> WindowPool:
        """Windows, the same for all networks."""
        torch.manual_seed(0)
        log.info("drawing %d windows", self.sizes.windows)
        return WindowPool(
            WindowSampler(self.clips, self.basis, 0), self.autoencoder, self.sizes.windows
        )

    @cached_property
    def people(self) -> list[Clip]:
        """Held-out clips with speech: all other people's, some of the single speaker's."""
        clips = load_clips(self.data, self.work, self.basis, validation=True, wide=self.wide)
        clips = [clip for clip in clips if clip.features is not None]
        known = [clip for clip in clips if clip.person == SINGLE_SPEAKER][:KNOWN_SPEAKER_CLIPS]
        return [clip for clip in clips if clip.person != SINGLE_SPEAKER] + known

    @cached_property
    def statistics(self) -> MotionStatistics:
        """Real motion of held-out people, with and without speech."""
        clips = load_clips(self.data, self.work, self.basis, validation=True)
        return MotionStatistics.fit(clips, self.basis)

    @cached_property
    def trial(self) -> dict[str, np.ndarray]:
        """Features of the phone-timed recordings."""
        if not self.wide:
            from evaluate_motion import trial_features

            return trial_features(self.speech, self.work / "features_trial")
        found = {}
        for path in sorted((self.work / "features_wide").glob("flite_*.npz")):
            with np.load(path) as stored:
                found[path.stem] = np.asarray(stored["features"], np.float32)
        return found

    @cached_property
    def phones(self) -> dict[str, Phones]:
        """What is said in them."""
        return {name: read_phones(self.speech / f"{name}.phones") for name in self.trial}

    @cached_property
    def parts(self) -> Any:
        """Articulation, events and style, the same for all networks."""
        return fit_parts(self.clips, self.basis, distilled=True)

    def small(self, recipe: Recipe) -> Recipe:
        """The recipe in a small network that reads this laboratory's features."""
        size = WIDE_SIZE if self.wide else DenoiserConfig().feature_size
        config = replace(small(recipe.denoiser), feature_size=size)
        if not self.wide:
            config = replace(config, speech_kinds=("visemes",))
        return replace(recipe, denoiser=config)

    def draw(self, rng: np.random.Generator) -> Any:
        """What `generator_training` draws its batches with."""

        def batches(config: DenoiserConfig, rows: int, chunks: int) -> Batch:
            return self.pool.batch(config, rows, rng, chunks=chunks)

        return batches

    def path(self, kind: str, options: object, seed: int) -> Path:
        """Where a network is kept."""
        said = json.dumps([kind, options, asdict(self.sizes), seed])
        return self.folder / f"{kind}_{hashlib.sha1(said.encode()).hexdigest()[:16]}.pt"

    def teacher_path(self, recipe: Recipe, seed: int) -> Path:
        """By what a teacher's training depends on alone, so that recipes share teachers."""
        return self.path("teacher", [asdict(recipe.teacher), recipe.past_noise], seed)

    def student_path(self, recipe: Recipe, seed: int) -> Path:
        """By all of the recipe."""
        return self.path("student", asdict(recipe), seed)

    def teacher(self, recipe: Recipe, seed: int) -> Denoiser:
        """Train or load a recipe's teacher."""
        path = self.teacher_path(recipe, seed)
        torch.manual_seed(seed)
        model = Denoiser(recipe.teacher)
        if not path.exists():
            log.info("training %s", path.name)
            run = Run(model, 1.5e-3)
            limit = Limit(run, steps=self.sizes.teacher_steps)
            train_teacher(
                run,
                limit,
                self.draw(np.random.default_rng(seed)),
                recipe,
                self.autoencoder,
                self.lips,
                batch=self.sizes.teacher_batch,
                seed=seed,
            )
            torch.save(run.average.state_dict(), path)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval().requires_grad_(False)

    def student(self, recipe: Recipe, seed: int) -> Denoiser:
        """Train or load a student of the recipe's teacher of the same seed."""
        path = self.student_path(recipe, seed)
        model = Denoiser(recipe.denoiser)
        if not path.exists():
            teacher = self.teacher(recipe, seed)
            log.info("distilling %s", path.name)
            torch.manual_seed(seed)
            take_over(teacher.state_dict(), model, teacher.config)
            run = Run(model, 8e-4)
            limit = Limit(run, steps=self.sizes.student_steps)
            fixed = (teacher, self.autoencoder, self.lips)
            draw = self.draw(np.random.default_rng((seed, 1)))
            distil(run, limit, draw, recipe, fixed, batch=self.sizes.student_batch, seed=seed)
            torch.save(run.average.state_dict(), path)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval().requires_grad_(False)

    def generator(self, denoiser: Denoiser, *, distilled: bool = True) -> MotionGenerator:
        """A motion generator around a network."""
        return MotionGenerator(self.autoencoder, denoiser, replace(self.parts, distilled=distilled))

    def measure(
        self,
        key: str,
        generator: MotionGenerator | OfflineGenerator,
        steps: int,
        *,
        long: bool = False,
        beside: MotionGenerator | None = None,
        beside_steps: int = 50,
    ) -> Numbers:
        """All measures of one generator, without the articulatory constraint; kept by key.

        Args:
            key: file name of the network and what else was chosen.
            generator: to be measured.
            steps: num_inference_steps.
            long: also over ten minutes.
            beside: a teacher whose motion on the same noise is the measure of `to_teacher`.
            beside_steps: its steps.
        """
        path = self.folder / f"{key}_{steps}{'_long' * long}.json"
        if path.exists():
            stored: Numbers = json.loads(path.read_text())
            return stored
        options = GenerateOptions(steps, GUIDANCE, articulation=0.0)
        numbers = summary(
            generator, self.trial, self.phones, self.people, self.statistics, self.basis, options
        )
        if long:
            first = next(iter(self.trial.values()))
            count = 50 * LONG_SECONDS
            looped = np.tile(first, (count // len(first) + 1, 1))[:count]
            motion = generated(generator, looped, 0, options)
            curve = drift_curve(motion, self.statistics, self.basis)
            numbers |= drift_summary(curve)
            numbers |= {f"fmd_minute_{i + 1}": value for i, value in enumerate(curve["fmd"])}
        if beside is not None:
            teacher_options = replace(options, num_inference_steps=beside_steps)
            ours, _ = trial_motions(generator, self.trial, options, (0,))
            theirs, _ = trial_motions(beside, self.trial, teacher_options, (0,))
            pairs = [(ours[name][0], theirs[name][0]) for name in ours]
            numbers["to_teacher"] = float(
                np.mean([lip_distance(made, wanted, self.basis) for made, wanted in pairs])
            )
        path.write_text(json.dumps(numbers))
        return numbers


class OfflineGenerator(MotionGenerator):
    """A non-streaming teacher, which hears a chunk ahead and sees noise there, over whole clips."""

    features: np.ndarray
    wide_view: Denoiser

    @classmethod
    def of(cls, teacher: Denoiser, streaming: MotionGenerator) -> OfflineGenerator:
        """Around an asynchronous teacher; chunks, decoder and parts are those of a student."""
        made = cls(streaming.autoencoder, streaming.denoiser, streaming.parts)
        made.wide_view = teacher
        return made

    def generate(
        self,
        features: np.ndarray,
        seed: int,
        options: GenerateOptions | None = None,
        state: StreamState | None = None,
    ) -> Iterator[FaceMotion]:
        """All chunks; the whole clip's speech is known."""
        self.features = features
        yield from super().generate(features, seed, options, state)

    def denoise(
        self, state: StreamState, joined: np.ndarray, options: GenerateOptions
    ) -> tuple[Tensor, np.ndarray]:
        """One chunk between the clean one before it and noise behind it."""
        config, chunk = self.wide_view.config, self.denoiser.config.chunk_steps
        own, size = chunk * 8, self.features.shape[1]
        start = (state.chunk_index - 1) * own - config.speech_past
        length = config.speech_past + 3 * own + config.speech_ahead
        padded = np.concatenate(
            [silence(max(0, -start), size), self.features[max(0, start) :], silence(length, size)]
        )
        speech = speech_windows(as_tensor(padded[:length], self.device), config)
        before = as_tensor(state.latents, self.device)[:, -chunk:]
        keep = torch.ones(1, dtype=torch.bool)
        nothing = before[:, :0]
        conditions = Conditions(
            nothing,
            speech[:, :0],
            as_tensor(state.reference, self.device),
            as_tensor(state.style, self.device),
            keep,
        )
        guidance = torch.full((1,), options.guidance_scale)
        predict = guided(self.wide_view, conditions, speech, guidance)
        behind = chunk_noise(state.seed, -1 - state.chunk_index, chunk, config.latent_size)
        noise = chunk_noise(state.seed, state.chunk_index, chunk, config.latent_size)
        at_work = in_the_middle(predict, before, behind)
        made = sample(at_work, noise, options.num_inference_steps, config.prediction)
        return made, state.remembered
