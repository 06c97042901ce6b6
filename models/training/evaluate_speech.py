"""Stage S3: how well the speech encoder names visemes on voices, people and languages it has never heard.

Sets: an unheard flite voice, unheard espeak-ng voice variants, unheard languages, GRID speakers other than the one
trained on, and (where given) recordings with phone labels: ``*.lab`` (HTK, 100 ns) and ``*.phones`` (flite -psdur)
beside ``.wav`` or ``.flac`` files. Each clean and with noise at 10 dB. With ``--data`` a minute of each set is made
again and goes through white noise, other voices and music at 10 dB, a telephone and a room (`spoilt_sets`). Several
bundles are measured one after another.

Launch (about 20 seconds)::

    python models/training/evaluate_speech.py --work data/train --speech DATA/speech
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from prepare_speech import read_16k  # noqa: E402
from speech_augment import noise_power  # noqa: E402
from speech_labels import Segment, label  # noqa: E402

from talkhead_models.phones import cmu_visemes  # noqa: E402
from talkhead_models.speech import NUM_VISEMES, VISEMES, SpeechEncoder, load_speech_encoder  # noqa: E402

BILABIAL = VISEMES.index("PBM")


def lab_segments(path: Path) -> list[Segment]:
    """Phones of an HTK label file, full-context or plain."""
    segments: list[Segment] = []
    for line in path.read_text().splitlines():
        _, end, name = line.split()[:3]
        centre = re.search(r"-([a-z#]+)\+", name) or re.match(r"[^^]+\^[^-]+-([^+]+)\+", name)
        segments.append((float(end) * 1e-7, cmu_visemes(centre.group(1) if centre else name) or ()))
    return segments


def phones_segments(path: Path) -> list[Segment]:
    """Phones as ``flite -psdur`` prints them."""
    pairs = [token.rsplit(":", 1) for token in path.read_text().split()]
    return [(float(end), cmu_visemes(phone) or ()) for phone, end in pairs]


def labelled_recordings(folder: Path) -> dict[str, list[dict[str, np.ndarray]]]:
    """Sets made of the label files in a folder."""
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for path in sorted([*folder.glob("*.lab"), *folder.glob("*.phones")]):
        audio = next(
            path.with_suffix(s) for s in (".wav", ".flac") if path.with_suffix(s).is_file()
        )
        segments = lab_segments(path) if path.suffix == ".lab" else phones_segments(path)
        found[path.stem] = [label(read_16k(audio), segments)]
    return found


def test_sets(work: Path, speech: Path | None) -> dict[str, list[dict[str, np.ndarray]]]:
    """Name to labelled pieces."""
    sets: dict[str, list[dict[str, np.ndarray]]] = {}
    for path in sorted((work / "speech").glob("test_*.npz")):
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
        ends = arrays.pop("offsets")
        sets[path.stem.removeprefix("test_")] = [
            {key: value[start:end] for key, value in arrays.items()}
            for start, end in itertools.pairwise(ends)
        ]
    return sets | (labelled_recordings(speech) if speech else {})


def add_noise(mel: np.ndarray, decibels: float, rng: np.random.Generator) -> np.ndarray:
    """Noise at a ratio to the loud parts of the speech."""
    power = 10 ** mel.astype(np.float64)
    noise = noise_power(rng, len(mel), None)
    scale = np.percentile(power.sum(1), 90) / 10 ** (decibels / 10) / noise.sum(1).mean()
    return np.log10(power + noise * scale)


@torch.no_grad()
def predict(encoder: SpeechEncoder, mel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posteriors (L, 16) and prosody (L, 2)."""
    output = encoder(torch.from_numpy(mel.astype(np.float32))[None])
    return output.visemes[0].softmax(-1).numpy(), output.prosody[0].numpy()


def events(labels: np.ndarray) -> list[tuple[int, int]]:
    """Runs of p b m in labels at 50/s."""
    edges = np.flatnonzero(np.diff(np.pad((labels == BILABIAL).astype(int), 1)))
    return list(zip(edges[::2], edges[1::2], strict=True))


def measure(
    encoder: SpeechEncoder, pieces: list[dict[str, np.ndarray]], decibels: float | None
) -> dict[str, float]:
    """Figures of one set."""
    rng = np.random.default_rng(0)
    confusion = np.zeros((NUM_VISEMES, NUM_VISEMES), int)
    fired = total = voicing_hit = steps = 0
    pitch_errors = []
    for piece in pieces:
        mel = piece["mel"] if decibels is None else add_noise(piece["mel"], decibels, rng)
        posterior, prosody = predict(encoder, mel)
        truth = piece["viseme"][1::2]
        guess = posterior.argmax(1)
        np.add.at(confusion, (truth, guess), 1)
        for start, end in events(truth):
            fired += posterior[max(0, start - 1) : end + 1, BILABIAL].max() > 0.5
            total += 1
        voiced = piece["voiced"][1::2] > 0
        voicing_hit += ((prosody[:, 0] > 0) == voiced).sum()
        pitch_errors.append(
            np.abs(prosody[voiced, 1] - piece["pitch"][1::2][voiced].astype(np.float32))
        )
        steps += len(truth)
    recall = np.diag(confusion) / np.maximum(confusion.sum(1), 1)
    precision = np.diag(confusion) / np.maximum(confusion.sum(0), 1)
    figures = {"accuracy": np.trace(confusion) / steps, "pbm_recall": recall[BILABIAL]}
    figures |= {"pbm_precision": precision[BILABIAL], "pbm_events": fired / max(total, 1)}
    figures |= {
        "silence_recall": recall[0],
        "silence_precision": precision[0],
        "fv_recall": recall[2],
    }
    figures |= {
        "voicing": voicing_hit / steps,
        "pitch_octaves": float(np.median(np.concatenate(pitch_errors))),
    }
    return figures | {f"recall_{name}": value for name, value in zip(VISEMES, recall, strict=True)}


COLUMNS = (
    *(
        "accuracy",
        "pbm_recall",
        "pbm_precision",
        "pbm_events",
        "silence_recall",
        "silence_precision",
    ),
    *("fv_recall", "voicing", "pitch_octaves"),
)


def row_of(cells: list[str], figures: dict[str, float]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join([*cells, *(f"{figures[column]:.2f}" for column in COLUMNS)]) + " |"


def compare(
    encoders: dict[str, SpeechEncoder],
    sets: dict[str, list[dict[str, np.ndarray]]],
    *,
    groups: bool,
) -> None:
    """Print the tables of the sets, clean and with noise."""
    print("| set | noise | bundle | " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (len(COLUMNS) + 3))
    recalls = {}
    for name, pieces in sets.items():
        for decibels in (None, 10.0):
            for bundle, encoder in encoders.items():
                figures = measure(encoder, pieces, decibels)
                noise = "clean" if decibels is None else f"{decibels:.0f} dB"
                print(row_of([name, noise, bundle], figures), flush=True)
                if decibels is None:
                    recalls[name, bundle] = [figures[f"recall_{viseme}"] for viseme in VISEMES]
    if groups:
        print("\n| set | bundle | " + " | ".join(VISEMES) + " |\n|" + "---|" * (NUM_VISEMES + 2))
        for (name, bundle), values in recalls.items():
            print(f"| {name} | {bundle} | " + " | ".join(f"{value:.2f}" for value in values) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--speech", type=Path, help="folder of recordings with .lab or .phones")
    parser.add_argument("--data", type=Path, help="folder with clips.csv: measure faults too")
    parser.add_argument("--bundle", nargs="+", default=["speech"], help="names or paths")
    parser.add_argument("--groups", action="store_true", help="recall of every viseme too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    encoders = {Path(name).stem: load_speech_encoder(name) for name in arguments.bundle}
    sets = test_sets(arguments.work, arguments.speech)
    compare(encoders, sets, groups=arguments.groups)
    if arguments.data:
        from spoilt_sets import spoilt_sets

        names = [path.stem[5:] for path in sorted((arguments.work / "speech").glob("test_*.npz"))]
        print()
        for name, conditions in spoilt_sets(arguments.data, names).items():
            for condition, pieces in conditions.items():
                for bundle, encoder in encoders.items():
                    print(
                        row_of([name, condition, bundle], measure(encoder, pieces, None)),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
