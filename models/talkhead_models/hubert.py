"""Speech features of HuBERT and its relatives, from a checkpoint in a local folder; optional (extra `[hubert]`).

SyncDiff (arXiv 2503.13371) reads AV-HuBERT. Loaded here is what transformers knows of that family: HuBERT, wav2vec 2.0,
WavLM, data2vec-audio, UniSpeech. AV-HuBERT has no class there: convert its audio stream to a HuBERT checkpoint first.
Nothing is ever downloaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from talkhead_models.bundle import BundleError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Array = NDArray[np.float32]

SAMPLE_RATE = 16_000
SAMPLES_PER_STEP = 320
WINDOW = 400
"""Samples under the convolutions of one step."""

LEFT = (WINDOW - SAMPLES_PER_STEP) // 2
"""Samples before the first step, so that step i is centred on [320 i, 320 i + 320)."""

KNOWN_TYPES = (
    "data2vec-audio",
    "hubert",
    "unispeech",
    "unispeech-sat",
    "wav2vec2",
    "wav2vec2-conformer",
    "wavlm",
)
"""Values of `model_type` in config.json that can be loaded: 20 ms steps from a waveform."""

CONVOLUTIONS = ((5, 2, 2, 2, 2, 2, 2), (10, 3, 3, 3, 3, 2, 2))
"""Strides and kernels of the family's convolutions: 320 samples a step, 400 under it."""

PIECE_STEPS, MARGIN_STEPS = 1500, 100
"""Steps (20 ms) encoded at once, and beside them as context: attention's memory grows with the square."""


class HubertError(BundleError):
    """A HuBERT checkpoint cannot be used. The message says why and what to do."""


def read_config(folder: Path) -> dict[str, Any]:
    """The checkpoint's config.json.

    Raises:
        HubertError: folder or file is missing or damaged, or it is another kind of network.
    """
    if not folder.is_dir():
        raise HubertError(
            f"HuBERT folder {folder} is missing: give a folder with config.json and model.safetensors."
        )
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise HubertError(
            f"{path} cannot be read ({error}): give the folder of a HuBERT checkpoint."
        ) from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in KNOWN_TYPES:
        raise HubertError(
            f"{folder} holds a network of type {kind!r}, not a HuBERT: use one of {', '.join(KNOWN_TYPES)}."
        )
    strides, kernels = config.get("conv_stride"), config.get("conv_kernel")
    if (tuple(strides or CONVOLUTIONS[0]), tuple(kernels or CONVOLUTIONS[1])) != CONVOLUTIONS:
        raise HubertError(
            f"{folder} does not give 50 steps a second: use a checkpoint with HuBERT's convolutions."
        )
    return config


def normalises(folder: Path, config: dict[str, Any]) -> bool:
    """Whether the checkpoint wants waveforms of zero mean and unit deviation."""
    try:
        stored = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        return bool(stored["do_normalize"])
    except (OSError, ValueError, KeyError, TypeError):
        # As the family's two sizes were published: large ones (layer norm) do, base ones do not.
        return config.get("feat_extract_norm") == "layer"


class Hubert:
    """A loaded checkpoint.

    Attributes:
        size: D, numbers a step.
    """

    def __init__(self, model: PreTrainedModel, normalise: bool, layer: int) -> None:
        self._model = model
        self._normalise = normalise
        self._layer = layer
        self.size = int(model.config.hidden_size)

    @torch.no_grad()
    def encode(self, waveform: Array) -> Array:
        """Features of a clip.

        Args:
            waveform: (S,) float32 in [-1, 1] at 16 kHz.

        Returns:
            (L, D) float32 at 50/s, L = 2 ceil(S / 640): as many as the clip has speech features.

        Raises:
            ValueError: the waveform has another number of axes.
        """
        if waveform.ndim != 1:
            raise ValueError(f"waveform must be (S,), got {waveform.shape}")
        steps = -(-len(waveform) // (2 * SAMPLES_PER_STEP)) * 2
        if not steps:
            return np.zeros((0, self.size), np.float32)
        samples = np.asarray(waveform, np.float32)
        if self._normalise:
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        padded = np.zeros(steps * SAMPLES_PER_STEP + WINDOW - SAMPLES_PER_STEP, np.float32)
        padded[LEFT : LEFT + len(samples)] = samples
        pieces = []
        for start in range(0, steps, PIECE_STEPS):
            stop = min(start + PIECE_STEPS, steps)
            first, last = max(0, start - MARGIN_STEPS), min(steps, stop + MARGIN_STEPS)
            span = slice(first * SAMPLES_PER_STEP, (last - 1) * SAMPLES_PER_STEP + WINDOW)
            pieces.append(self._run(padded[span])[start - first : stop - first])
        return np.concatenate(pieces)

    def _run(self, samples: Array) -> Array:
        """All steps of one piece."""
        batch = torch.from_numpy(samples).to(self._model.device)[None]
        if self._layer in (-1, self._model.config.num_hidden_layers):
            # Behind the last layer large checkpoints have a norm that is no layer of its own.
            hidden = self._model(batch).last_hidden_state
        else:
            hidden = self._model(batch, output_hidden_states=True).hidden_states[self._layer]
        return np.asarray(hidden[0].cpu().numpy(), np.float32)


def load_hubert(
    path_or_name: str | Path, device: str | torch.device = "cpu", *, layer: int = -1
) -> Hubert:
    """A HuBERT-style checkpoint in transformers' format, in evaluation mode.

    Args:
        path_or_name: folder with config.json and model.safetensors (or pytorch_model.bin).
        device: where to put it.
        layer: which hidden layer to read, 0 = before the first one, -1 = the last one.

    Raises:
        HubertError: transformers is not installed; the folder, its config or its weights are missing or damaged; it is
            another kind of network; there is no such layer.
    """
    folder = Path(path_or_name)
    config = read_config(folder)
    try:
        from transformers import AutoModel
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise HubertError(
            "HuBERT features need the package transformers: pip install 'talkhead[hubert]'."
        ) from error
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call, unused-ignore]
    try:
        model, found = AutoModel.from_pretrained(
            str(folder), local_files_only=True, output_loading_info=True
        )
    # Whatever a damaged file makes the libraries raise, the person can only give another one.
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise HubertError(
            f"The weights in {folder} cannot be loaded ({reason[0]}): give a whole HuBERT checkpoint."
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise HubertError(
            f"{folder} lacks {len(missing)} of the network's weights ({missing[0]}, ...):"
            " give a whole HuBERT checkpoint."
        )
    layers = int(model.config.num_hidden_layers)
    if not -layers - 1 <= layer <= layers:
        raise HubertError(f"{folder} has {layers} layers, so there is no layer {layer}.")
    model = model.float().eval().requires_grad_(False).to(device)
    return Hubert(model, normalises(folder, config), layer)
