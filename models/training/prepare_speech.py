"""Stage S1: speech with phone times, as log-mel and viseme labels.

Sources: flite (slt, awb, kal16; rms is held out), festival (two diphone voices and slt-hts), espeak-ng (many languages
and voice variants; some of both held out) and GRID clips force-aligned by pocketsphinx (speaker 1; others held out).
Writes one ``WORK/speech/<source>.npz`` a source:

* ``mel`` (N, 80) float16, log10 mel power, 100 frames a second, all utterances one after another,
* ``viseme`` (N,) uint8, ``voiced`` (N,) uint8, ``pitch`` (N,) float16 = log2(f0 / 100 Hz),
* ``offsets`` (n + 1,) int64, first frame of each utterance.

Finished sources are skipped: run it again after an interruption. Needs flite, festival (with festvox-kallpc16k,
festvox-kdlpc16k, festvox-us-slt-hts), espeak-ng, and ``pip install pocketsphinx``.

Launch (2 cores, about 4 minutes for 130 minutes of speech)::

    python models/training/prepare_speech.py --data DATA --work data/train --jobs 2
"""

from __future__ import annotations

import argparse
import csv
import json
import logging
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import soundfile
import soxr

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from espeak import Espeak, EspeakError  # noqa: E402
from speech_labels import Segment, label  # noqa: E402
from speech_texts import OTHER_LANGUAGES, english_sentence, other_sentence  # noqa: E402

from talkhead_cli.mel import SAMPLE_RATE  # noqa: E402
from talkhead_models.phones import SILENCE, cmu_visemes  # noqa: E402

log = logging.getLogger("prepare_speech")

Utterance = tuple[np.ndarray, list[Segment]]

HELD_OUT_LANGUAGES = ("it", "ko", "sv")
VARIANTS = (
    "m1 m3 m4 m5 m6 m7 f1 f2 f3 f4 Andy Annie Denis Gene Jacky Lee Mario Michael Mike adam anika"
    " antonio aunty belinda"
)
HELD_OUT_VARIANTS = "f5 m8 m2 linda steph"
ENGLISH = "en-us en-us en-gb en-gb-x-rp en-gb-scotland en-us-nyc"


# ---- the sources: each yields (waveform at 16 kHz, segments) ------------------------------------------------------


def dictionary_words() -> list[str]:
    """Plain words of the pronunciation dictionary that pocketsphinx carries."""
    import pocketsphinx

    path = Path(pocketsphinx.__file__).parent / "model/en-us/cmudict-en-us.dict"
    words = (line.split()[0] for line in path.read_text(errors="ignore").splitlines() if line)
    return [word for word in words if word.isalpha() and 3 <= len(word) <= 10]


def read_16k(path: Path) -> np.ndarray:
    wave, rate = soundfile.read(path, dtype="float32")
    return soxr.resample(wave, rate, SAMPLE_RATE) if rate != SAMPLE_RATE else wave


def flite(rng: random.Random, folder: Path, voice: str) -> Iterator[Utterance]:
    words = dictionary_words()
    path = folder / "flite.wav"
    while True:
        settings = ["--setf", f"duration_stretch={rng.uniform(0.75, 1.3):.2f}"]
        if voice == "kal16":
            settings += ["--setf", f"int_f0_target_mean={rng.uniform(75, 170):.0f}"]
        text = english_sentence(rng, words)
        command = ["flite", "-voice", voice, *settings, "-psdur", "-t", text, "-o", str(path)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        pairs = [token.rsplit(":", 1) for token in printed.split() if ":" in token]
        yield read_16k(path), [(float(end), cmu_visemes(phone) or ()) for phone, end in pairs]


def festival(rng: random.Random, folder: Path, voice: str) -> Iterator[Utterance]:
    words = dictionary_words()
    while True:
        lines = [f"(voice_{voice})"]
        for index in range(25):
            text = english_sentence(rng, words).replace('"', "")
            lines += [
                f"(Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.25):.2f})",
                f'(set! u (utt.synth (Utterance Text "{text}")))',
                f'(utt.save.wave u "{folder}/{index}.wav" \'riff)',
                f'(utt.save.segs u "{folder}/{index}.lab")',
            ]
        script = folder / "batch.scm"
        script.write_text("\n".join(lines))
        subprocess.run(["festival", "-b", str(script)], check=True, capture_output=True)
        for index in range(25):
            rows = [line.split() for line in (folder / f"{index}.lab").read_text().splitlines()]
            segments = [(float(row[0]), cmu_visemes(row[2]) or ()) for row in rows if len(row) == 3]
            yield read_16k(folder / f"{index}.wav"), segments


def espeak(rng: random.Random, folder: Path, voices: str) -> Iterator[Utterance]:
    """``voices``: a language, "train" (the seen ones), "languages" (unseen ones) or "variants" (unseen, English)."""
    engine, words = Espeak(), dictionary_words()
    languages = [code for code in OTHER_LANGUAGES if code not in HELD_OUT_LANGUAGES]
    while True:
        if voices == "variants" or (voices == "train" and rng.random() < 0.4):
            language, text = rng.choice(ENGLISH.split()), english_sentence(rng, words)
        else:
            chosen = {"train": languages, "languages": HELD_OUT_LANGUAGES}.get(voices, [voices])
            language = rng.choice(chosen)
            text = other_sentence(rng, language)
        variants = HELD_OUT_VARIANTS if voices == "variants" else VARIANTS
        voice = f"{language}+{rng.choice(variants.split())}"
        numbers = rng.randint(110, 230), rng.randint(20, 80), rng.randint(20, 80)
        try:
            spoken = engine.speak(voice, text, *numbers)
        except EspeakError:  # not every language goes with every variant
            continue
        if spoken:
            yield spoken.wave, spoken.segments


def decode_clip(path: Path) -> np.ndarray:
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(path),
        "-ac",
        "1",
        "-ar",
        str(SAMPLE_RATE),
    ]
    data = subprocess.run([*command, "-f", "s16le", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(data, np.int16).astype(np.float32) / 32768


def decode(decoder, data: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(data, full_utt=True)
    decoder.end_utt()


def align(decoder, wave: np.ndarray, transcript: str) -> list[Segment] | None:
    """Phones of a transcribed recording by two passes of pocketsphinx (words, then phones)."""
    data = (np.clip(wave, -1, 1) * 32767).astype(np.int16).tobytes()
    try:
        decoder.set_align_text(transcript)
        decode(decoder, data)
        if decoder.hyp() is None:
            return None
        decoder.set_alignment()
        decode(decoder, data)
        words = decoder.get_alignment()
    except RuntimeError:
        return None
    segments: list[Segment] = []
    for word in words:
        for phone in word:
            end = (phone.start + phone.duration) / 100
            segments.append((end, cmu_visemes(phone.name) or (SILENCE,)))
    return segments


def grid(rng: random.Random, folder: Path, data: str, speakers: str) -> Iterator[Utterance]:
    """``speakers``: "first" or "others"."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    with (Path(data) / "clips.csv").open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if row["tier"] == "permissive" and row["transcript"]
        ]
    rows = [row for row in rows if (row["person"] == "grid_s1") == (speakers == "first")]
    rng.shuffle(rows)
    for row in rows:
        wave = decode_clip(Path(data) / "clips" / row["file"])
        segments = align(decoder, wave, row["transcript"])
        if segments:
            yield wave, segments


# ---- shards -------------------------------------------------------------------------------------------------------


def write_shard(path: Path, parts: list[dict[str, np.ndarray]]) -> None:
    """Write utterances, each as `label` gives it, one behind the other; `offsets` tells where each begins."""
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    arrays["offsets"] = np.cumsum([0] + [len(part["viseme"]) for part in parts])
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)
    frames = len(arrays["viseme"])
    share = np.bincount(arrays["viseme"], minlength=16) / frames
    log.info(
        "%s: %.1f min, %d utterances, shares %s",
        path.stem,
        frames / 6000,
        len(parts),
        json.dumps(share.round(3).tolist()),
    )


def make_shard(
    path: Path, source: Callable[..., Iterator[Utterance]], minutes: float, arguments: tuple
) -> None:
    """Draw utterances from a source until there are enough minutes, and write them."""
    if path.exists():
        return
    rng = random.Random(path.stem)
    parts: list[dict[str, np.ndarray]] = []
    frames = 0
    with tempfile.TemporaryDirectory() as folder:
        for wave, segments in source(rng, Path(folder), *arguments):
            parts.append(label(wave, segments))
            frames += len(parts[-1]["viseme"])
            if frames >= minutes * 6000:
                break
    write_shard(path, parts)


def shards(
    data: str, scale: float
) -> list[tuple[str, Callable[..., Iterator[Utterance]], float, tuple]]:
    return [
        ("train_grid_s1", grid, 16 * scale, (data, "first")),
        ("train_espeak_a", espeak, 22 * scale, ("train",)),
        ("train_espeak_b", espeak, 22 * scale, ("train",)),
        ("train_espeak_cmn", espeak, 10 * scale, ("cmn-latn-pinyin",)),
        ("train_flite_slt", flite, 16 * scale, ("slt",)),
        ("train_flite_awb", flite, 18 * scale, ("awb",)),
        ("train_flite_kal", flite, 8 * scale, ("kal16",)),
        ("train_festival_ked", festival, 14 * scale, ("ked_diphone",)),
        ("train_festival_kal", festival, 5 * scale, ("kal_diphone",)),
        ("train_festival_hts", festival, 12 * scale, ("cmu_us_slt_arctic_hts",)),
        ("test_flite_rms", flite, 4 * scale, ("rms",)),
        ("test_espeak_languages", espeak, 4 * scale, ("languages",)),
        ("test_espeak_variants", espeak, 3 * scale, ("variants",)),
        ("test_grid_others", grid, 4 * scale, (data, "others")),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv and clips/")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="make one source in this process")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the full number of minutes"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = arguments.work / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.only:
        source, minutes, extra = next(
            row[1:] for row in shards(str(arguments.data), 1.0) if row[0] == arguments.only
        )
        make_shard(folder / f"{arguments.only}.npz", source, minutes * arguments.scale, extra)
        return
    names = [row[0] for row in shards(str(arguments.data), 1.0)]
    options = [
        "--data",
        str(arguments.data),
        "--work",
        str(arguments.work),
        "--scale",
        str(arguments.scale),
    ]
    commands = [[sys.executable, __file__, *options, "--only", name] for name in names]
    with ThreadPoolExecutor(
        arguments.jobs
    ) as pool:  # a process each: espeak-ng's library is not safe to share or fork
        failed = sum(done.returncode != 0 for done in pool.map(subprocess.run, commands))
    if failed:
        sys.exit(f"{failed} sources failed: see above, then run again")


if __name__ == "__main__":
    main()
