"""Stage S2b: the shipped speech encoder, a weighted mean of trainings that began with the same weights.

Takes the averaged weights of checkpoints of train_speech.py, one of them gone on from another (``--init``), and writes
the bundle. ``--closures`` is added to the logit of p, b, m: what the mean of two networks, each sure of other closures,
takes from them.

Launch (seconds)::

    python models/training/average_speech.py --work data/train wide:0.7 speech:0.3 --closures 0.15
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from train_speech import BILABIAL  # noqa: E402

from talkhead_models.bundle import save_bundle  # noqa: E402
from talkhead_models.speech import SpeechConfig, SpeechEncoder, speech_encoder_tensors  # noqa: E402

State = dict[str, torch.Tensor]

SOURCES = (
    "flite, festival and espeak-ng synthesis in 54 languages; GRID speaker 1 (CC BY 4.0);"
    " 4 min of other real speech"
)


def weighted_mean(states: list[State], weights: list[float]) -> State:
    """The mean of each tensor; counters come from the first."""
    total = sum(weights)
    return {
        name: sum(
            (weight / total) * state[name].double()
            for state, weight in zip(states, weights, strict=True)
        ).to(first.dtype)
        if first.is_floating_point()
        else first
        for name, first in states[0].items()
    }


def average(states: list[State], weights: list[float], closures: float) -> SpeechEncoder:
    """The encoder of the mean, with the logit of p, b, m lifted."""
    encoder = SpeechEncoder(SpeechConfig())
    encoder.load_state_dict(weighted_mean(states, weights))
    last = encoder.head[-1]
    assert isinstance(last, torch.nn.Conv1d)
    assert last.bias is not None
    with torch.no_grad():
        last.bias[BILABIAL] += closures
    return encoder.eval()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", metavar="NAME:WEIGHT", help="checkpoints")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--closures", type=float, default=0.0)
    parser.add_argument("--minutes", type=float, default=278, help="of speech trained on")
    parser.add_argument("--out", type=Path, help="default: into the package")
    parser.add_argument("--note", default="", help="results, kept in the bundle's header")
    arguments = parser.parse_args()
    pairs = [part.rpartition(":") for part in arguments.parts]
    folder = arguments.work / "checkpoints"
    states = [
        torch.load(folder / f"{name}.pt", weights_only=True)["average"] for name, _, _ in pairs
    ]
    encoder = average(states, [float(weight) for _, _, weight in pairs], arguments.closures)
    tensors, config = speech_encoder_tensors(encoder)
    metadata = {
        "data_tier": "permissive",
        "data": f"{arguments.minutes:.0f} min: {SOURCES}",
        "licence": "Apache-2.0",
        "training_command": " ".join(["python models/training/average_speech.py", *sys.argv[1:]]),
        "results": arguments.note,
    }
    out = arguments.out or ROOT / "models/talkhead_models/weights/speech.safetensors"
    print(out, save_bundle(out, tensors, config, metadata)[:12])


if __name__ == "__main__":
    main()
