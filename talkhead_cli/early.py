"""Speech features before they are settled: what is thought of the newest sound when a chunk of motion is due.

What a sound is becomes certain by what follows it: the encoder reads 0.2 s behind each step, and a pause is told from
the closure of a stop 0.2 s later. Live speech need not wait for that. Each chunk is made from what is thought when its
own sound and a chosen stretch behind it have been heard: the encoder's answers at the edge of what it knows, pauses
where they are certain, and the last vector held where the generator reads on. With the next chunk the past is read
again, as it is known by then.

What is heard for a chunk depends on the plan alone and not on how the sound arrives, and networks are run over the same
pieces: a file and a stream give the same numbers, to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from talkhead_cli.mel import HOP, LEFT, SAMPLE_RATE, WINDOW, Array, framed_log_mel, num_mel_frames

if TYPE_CHECKING:
    from talkhead_models.lip_audio import LipAudioEncoder
    from talkhead_models.live import EarPlan, View
    from talkhead_models.speech import SpeechEncoder

BLOCK_SECONDS = 0.02
"""Sound is asked for in blocks of this length where chunks are early."""


EDGE_SECONDS = (WINDOW - HOP) / 2 / SAMPLE_RATE
"""Sound behind a step that its last mel frame reads."""


class EarlyEars:
    """The state of one clip: mel frames in, what is thought of its newest steps out.

    Attributes:
        first: number of the first step that is kept.
        known: (n, F) float32, the settled steps that are kept.
    """

    def __init__(
        self, encoder: SpeechEncoder, lip_encoder: LipAudioEncoder | None, keep: int
    ) -> None:
        from talkhead_cli.loudness import FeatureStream
        from talkhead_models.lip_audio import WideStream
        from talkhead_models.speech import FEATURE_SIZE, WIDE_FEATURE_SIZE, start_stream

        self.first = 0
        size = FEATURE_SIZE if lip_encoder is None else WIDE_FEATURE_SIZE
        self.known = np.zeros((0, size), np.float32)
        self._encoder = encoder
        self._keep = keep
        self._state = start_stream()
        self._loudness = FeatureStream()
        self._wide = None if lip_encoder is None else WideStream(lip_encoder)
        self._energies = np.zeros(0, np.float32)

    def hear(self, mel: Array, *, final: bool = False) -> Array:
        """Take mel frames (2 m, 80); what is thought of all steps from `first` on, (n, F) float32."""
        from talkhead_cli.loudness import mel_energy
        from talkhead_models.speech import NUM_VISEMES, read_block
        from talkhead_models.threads import one_thread

        with one_thread():
            said, rest, self._state = read_block(self._encoder, self._state, mel, final)
            visemes, prosody = said[:, :NUM_VISEMES], said[:, NUM_VISEMES:]
            if self._wide is not None:
                self._wide.push(mel, final)
            self._energies = np.concatenate([self._energies, mel_energy(mel)])
            settled = self._loudness.push(visemes, prosody, self._energies[: len(visemes)])
            self._energies = self._energies[len(visemes) :]
            if final:
                settled = np.concatenate([settled, self._loudness.finish()])
            if self._wide is not None:
                settled = np.concatenate([settled, self._wide.take(len(settled))], axis=1)
            dropped = 0 if final else max(0, len(self.known) + len(settled) - self._keep)
            self.known = np.concatenate([self.known, settled])[dropped:]
            self.first += dropped
            return self.known if final else np.concatenate([self.known, self._thought(rest)])

    def _thought(self, rest: Array) -> Array:
        """What is thought of the steps that are not settled, of which the encoder says `rest`."""
        from talkhead_cli.mel import NUM_MELS
        from talkhead_models.speech import NUM_VISEMES, settle_block

        if not len(rest):
            # So early in the clip that nothing is settled.
            none = np.zeros((0, NUM_MELS), np.float32)
            rest, _ = settle_block(self._encoder, self._state, none, final=True)
        rows = self._loudness.peek(rest[:, :NUM_VISEMES], rest[:, NUM_VISEMES:], self._energies)
        return rows if self._wide is None else np.concatenate([rows, self._wide.peek()], axis=1)


def early_views(
    blocks: Iterator[Array],
    encoder: SpeechEncoder,
    plan: EarPlan,
    lip_encoder: LipAudioEncoder | None = None,
) -> Iterator[View]:
    """Each chunk of a clip as soon as its sound and the stretch behind it have been heard.

    Args:
        blocks: (n,) float32 at 16 kHz, of any sizes.
        encoder: from `talkhead_models.speech.load_speech_encoder`.
        plan: when chunks are made.
        lip_encoder: from `talkhead_models.lip_audio.load_lip_audio`, for features of every kind.
    """
    from talkhead_models.live import View

    ears = EarlyEars(encoder, lip_encoder, plan.back + plan.own + plan.ahead)
    tail = np.zeros(LEFT, np.float32)
    samples = steps = index = 0
    for block in blocks:
        samples += len(block)
        tail = np.concatenate([tail, block])
        while len(tail) >= (count := 2 * (plan.heard(index) - steps)) * HOP + WINDOW - HOP:
            known = ears.hear(framed_log_mel(tail[: count * HOP + WINDOW - HOP]))
            tail, steps = tail[count * HOP :], plan.heard(index)
            yield View(plan.view(known, ears.first, index, ended=False), plan.own // 2)
            index += 1
    total = num_mel_frames(samples) // 2
    padded = np.zeros(2 * (total - steps) * HOP + WINDOW - HOP, np.float32)
    padded[: len(tail)] = tail[: len(padded)]
    known = ears.hear(framed_log_mel(padded), final=True)
    while index * plan.own < total:
        frames = (min(plan.own, total - index * plan.own) + 1) // 2
        yield View(plan.view(known, ears.first, index, ended=True), frames)
        index += 1


def early_features(
    blocks: Iterator[Array],
    encoder: SpeechEncoder,
    plan: EarPlan,
    lip_encoder: LipAudioEncoder | None = None,
) -> tuple[Array, Array]:
    """All chunks of a clip that is there as a whole; see `early_views`.

    Returns:
        What was thought of each step in its own chunk, (L, F) float32, and all views, (chunks, n, F) float32.
    """
    views = list(early_views(blocks, encoder, plan, lip_encoder))
    own = [view.features[plan.back :][: 2 * view.num_frames] for view in views]
    return np.concatenate(own), np.stack([view.features for view in views])
