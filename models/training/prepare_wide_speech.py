"""Stage S1b: more speech for the encoder: 54 languages, more voices and manners, real faults of recordings.

Adds shards beside those of `prepare_speech.py`, of the same arrays and one more: ``noisy`` (N, 80) float16, the log-mel
of the same waveform after `sound_faults.spoiled`; ``mel`` is of the clean one. Sources:

* espeak-ng in every training language of `speech_texts` and `world_texts`, invented words full of p, b and m, languages
  changed within a sentence; 80 to 330 words a minute, all pitches, about 60 variants, one whispering;
* festival's Czech, Finnish, Catalan and Russian voices, with their own phone sets;
* sung and laughed vowels, breaths and long pauses made here (`manners`);
* real clips of the permissive tier that are not held out, without labels: training takes the encoder's own answer to
  the clean sound as the target of the spoiled one (``labelled`` is 0);
* eight shards more of the first kind, in crowds and halls (`sound_faults.crowded`);
* ``WORK/read``: any recordings with transcripts, such as the public-domain ones among pocketsphinx's own tests.

Launch (2 cores, about 10 minutes)::

    python models/training/prepare_wide_speech.py --data DATA --work data/train --jobs 2
"""

from __future__ import annotations

import argparse
import csv
import logging
import random
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from espeak import Espeak, EspeakError  # noqa: E402
from festival_voices import VOICES, festival_voice  # noqa: E402
from manners import breath, join, laughter, pause, sung_vowels  # noqa: E402
from prepare_speech import (  # noqa: E402
    HELD_OUT_LANGUAGES,
    Utterance,
    align,
    decode_clip,
    dictionary_words,
    read_16k,
    write_shard,
)
from sound_faults import crowded, spoiled  # noqa: E402
from speech_labels import label  # noqa: E402
from speech_texts import OTHER_LANGUAGES, english_sentence  # noqa: E402
from splits import SINGLE_SPEAKER, is_held_out  # noqa: E402
from world_texts import SPELT_AS_SPOKEN, WORLD_TEXTS, invented_sentence, world_sentence  # noqa: E402

from talkhead_cli.mel import log_mel  # noqa: E402

log = logging.getLogger("prepare_wide_speech")

TEXTS = {
    language: tuple(sentences)
    for language, sentences in OTHER_LANGUAGES.items()
    if language not in HELD_OUT_LANGUAGES
} | WORLD_TEXTS
ENGLISH = (
    "en-us",
    "en-us",
    "en-gb",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-us-nyc",
    "en-gb-x-gbclan",
    "en-029",
)
VARIANTS = (
    "m1 m3 m4 m5 m6 m7 f1 f2 f3 f4 Andy Annie Denis Gene Gene2 Jacky Lee Mario Michael Mike adam anika antonio aunty"
    " belinda Alex Alicia Andrea benjamin boris caleb david Diogo ed edward Hugo Iven Iven2 john marcelo Marco max"
    " miguel Nguyen pablo paul pedro rob robert sandro shelby travis victor zac grandma grandpa klatt klatt2 klatt3"
    " klatt4 AnxiousAndy"
)
"""Held out are f5, m8, m2, linda and steph (with her sisters), and for the benchmark whisper and croak."""


def espeak_world(rng: random.Random, folder: Path, _: str) -> Iterator[Utterance]:
    """Every language, invented words, English, and changes of language."""
    engine, words, languages = Espeak(), dictionary_words(), sorted(TEXTS)

    def once() -> Utterance | None:
        draw = rng.random()
        if draw < 0.2:
            language, text = rng.choice(ENGLISH), english_sentence(rng, words)
        elif draw < 0.5:
            language, text = rng.choice(SPELT_AS_SPOKEN), invented_sentence(rng)
        else:
            language = rng.choice(languages)
            text = world_sentence(rng, TEXTS, language)
        variant = "whisperf" if rng.random() < 0.06 else rng.choice(["", *VARIANTS.split()])
        speed = rng.randint(80, 200) if rng.random() < 0.5 else rng.randint(180, 330)
        voice = f"{language}+{variant}" if variant else language
        try:
            spoken = engine.speak(voice, text, speed, rng.randint(5, 99), rng.randint(5, 99))
        except EspeakError:
            return None
        return (spoken.wave, spoken.segments) if spoken else None

    while True:
        parts = [part for part in (once() for _ in range(rng.choice((1, 1, 2)))) if part]
        if not parts:
            continue
        if rng.random() < 0.5:
            parts.append(pause(rng))
        if rng.random() < 0.15:
            parts.insert(rng.randint(0, len(parts)), breath(rng))
        yield join(parts)


def manners(rng: random.Random, folder: Path, _: str) -> Iterator[Utterance]:
    """Singing, laughter, breaths, long pauses."""
    while True:
        kinds = [sung_vowels, sung_vowels, laughter, breath, pause]
        yield join([rng.choice(kinds)(rng) for _ in range(rng.randint(3, 6))])


def real_clips(rng: random.Random, folder: Path, data: str) -> Iterator[Utterance]:
    """Speech of the permissive tier that judges nothing, as it is."""
    with (Path(data) / "clips.csv").open(newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["tier"] == "permissive" and row["speech"] == "yes" and row["real"] == "yes"
        ]
    for row in rows:
        if row["person"] != SINGLE_SPEAKER and not is_held_out(row["person"]):
            yield decode_clip(Path(data) / "clips" / row["file"]), []


def read_aloud(rng: random.Random, folder: Path, recordings: str) -> Iterator[Utterance]:
    """Recordings with what is said in them (``NAME.wav``, ``NAME.txt``), force-aligned."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    for path in sorted(Path(recordings).glob("*.wav")):
        wave = read_16k(path)
        segments = align(decoder, wave, path.with_suffix(".txt").read_text().strip().lower())
        if segments:
            yield wave, segments


CROWD = "wide_crowd"
"""Shards of this name are spoilt by `crowded`."""

Source = Callable[[random.Random, Path, str], Iterator[Utterance]]


def sources(data: str, recordings: str) -> dict[str, tuple[Source, float, str]]:
    """Name of a shard to its source, its minutes, and the source's argument."""
    world = {f"wide_espeak_{letter}": (espeak_world, 12.0, "") for letter in "abcdefgh"}
    world |= {f"{CROWD}_{letter}": (espeak_world, 12.0, "") for letter in "abcdefgh"}
    voices = {f"wide_festival_{voice}": (festival_voice, 5.0, voice) for voice in VOICES}
    return {
        "wide_espeak_a": world.pop("wide_espeak_a"),
        "wide_manners": (manners, 4.0, ""),
        "wide_real": (real_clips, 60.0, data),
        "wide_read": (read_aloud, 60.0, recordings),
        **voices,
        **world,
    }


def make_shard(path: Path, source: Source, minutes: float, argument: str) -> None:
    """Draw utterances from a source until there are enough minutes or no more of them, and write them."""
    if path.exists():
        return
    rng, faults = random.Random(path.stem), np.random.default_rng(list(path.stem.encode()))
    spoil = crowded if path.stem.startswith(CROWD) else spoiled
    recent: deque[np.ndarray] = deque(maxlen=20)
    parts: list[dict[str, np.ndarray]] = []
    frames = 0
    with tempfile.TemporaryDirectory() as folder:
        for wave, segments in source(rng, Path(folder), argument):
            if len(wave) < 4000 or np.abs(wave).max() < 1e-3:
                continue
            recent.append(wave)
            part = label(wave, segments)
            part["noisy"] = log_mel(
                spoil(wave, faults, lambda: recent[int(faults.integers(0, len(recent)))])
            ).astype(np.float16)
            part["labelled"] = np.full(len(part["viseme"]), bool(segments), np.uint8)
            parts.append(part)
            frames += len(part["viseme"])
            if frames >= minutes * 6000:
                break
    write_shard(path, parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with clips.csv and clips/")
    parser.add_argument("--work", type=Path, default=Path("data/train"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="make one shard in this process")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    folder = arguments.work / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    table = sources(str(arguments.data), str(arguments.work / "read"))
    if arguments.only:
        make_shard(folder / f"{arguments.only}.npz", *table[arguments.only])
        return
    options = ["--data", str(arguments.data), "--work", str(arguments.work)]
    commands = [[sys.executable, __file__, *options, "--only", name] for name in table]
    with ThreadPoolExecutor(arguments.jobs) as pool:  # a process each: see prepare_speech.py
        failed = sum(done.returncode != 0 for done in pool.map(subprocess.run, commands))
    if failed:
        sys.exit(f"{failed} shards failed: see above, then run again")


if __name__ == "__main__":
    main()
