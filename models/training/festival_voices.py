"""Festival's voices of other languages than English, each with its own phone names, as visemes.

Debian: festvox-czech-dita, festvox-czech-machac, festvox-suopuhe-lj, festvox-suopuhe-mv,
festvox-ca-ona-hts, festvox-ru.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "models"), str(ROOT / "models" / "training")]

from prepare_speech import Utterance, read_16k  # noqa: E402
from speech_texts import OTHER_LANGUAGES  # noqa: E402
from world_texts import WORLD_TEXTS, invented_sentence, world_sentence  # noqa: E402

from talkhead_models.speech import VISEMES  # noqa: E402

VOICES: dict[str, tuple[str, str]] = {
    "czech_dita": ("cs", "iso-8859-2"),
    "czech_machac": ("cs", "iso-8859-2"),
    "suo_fi_lj_diphone": ("fi", "iso-8859-1"),
    "hy_fi_mv_diphone": ("fi", "iso-8859-1"),
    "upc_ca_ona_hts": ("ca", "iso-8859-1"),
    "msu_ru_nsh_clunits": ("ru", "utf-8"),
}
"""Voice to its language and the encoding of its text."""

_COMMON = {
    "p": "PBM", "b": "PBM", "m": "PBM", "f": "FV", "v": "FV", "t": "TDN", "d": "TDN", "n": "TDN", "s": "SZ", "z": "SZ",
    "c": "SZ", "k": "KG", "g": "KG", "x": "KG", "h": "KG", "ch": "KG", "l": "L", "r": "R", "j": "IY", "i": "IY",
    "e": "AE", "a": "AA", "o": "OH", "u": "UW", "w": "UW",
}  # fmt: skip
_OWN: dict[str, dict[str, str]] = {
    "cs": {"s~": "SH", "z~": "SH", "c~": "SH", "r~": "SH", "d~": "TDN", "t~": "TDN", "n~": "TDN", "dz": "SZ",
           "dz~": "SH", "n*": "KG", "ng": "KG", "m*": "PBM", "mg": "PBM"},
    "fi": {"y": "UW", "@": "AE", "N": "KG", "d": "TDN", "S": "SH"},
    "ca": {"ax": "AX", "O": "OH", "E": "AE", "S": "SH", "Z": "SH", "B": "FV", "D": "TDN", "G": "KG", "bb": "PBM",
           "dd": "TDN", "gg": "KG", "J": "TDN", "N": "KG", "L": "L", "rr": "R", "y": "IY", "tS": "SH", "dZ": "SH",
           "ts": "SZ", "uw": "UW", "aw": "UW", "ay": "IY"},
    "ru": {"sh": "SH", "sch": "SH", "zh": "SH", "ch": "SH", "y": "IY", "ay": "AX", "ae": "AX", "ii": "IY", "yy": "IY",
           "ee": "AE", "aa": "AA", "oo": "OH", "uu": "UW", "mm": "PBM", "pp": "PBM", "bb": "PBM", "vv": "FV",
           "ff": "FV", "nn": "TDN", "tt": "TDN", "dd": "TDN", "ss": "SZ", "zz": "SZ", "ll": "L", "rr": "R",
           "kk": "KG", "gg": "KG", "hh": "KG", "ur": "UW", "ir": "IY", "er": "AE", "ar": "AA", "or": "OH"},
}  # fmt: skip
SILENT = ("#", "##", "pau", "_", "sil", "ssil")


def voice_visemes(language: str, phone: str) -> tuple[int, ...]:
    """Visemes of a phone of one of the voices: none for a pause; a length mark or a stress digit is passed over.

    Raises:
        KeyError: the phone is not known.
    """
    if phone in SILENT:
        return ()
    plain = re.sub(r"[:0-9]+$", "", phone)
    name = _OWN[language].get(plain) or _COMMON[plain]
    return (VISEMES.index(name),)


def festival_voice(rng: random.Random, folder: Path, voice: str) -> Iterator[Utterance]:
    """Sentences and invented words of a voice, at several paces."""
    language, encoding = VOICES[voice]
    texts = {language: tuple(WORLD_TEXTS.get(language) or OTHER_LANGUAGES[language])}
    while True:
        lines = [f"(voice_{voice})".encode()]
        for index in range(15):
            own = rng.random() < 0.6 or language == "ru"
            text = world_sentence(rng, texts, language) if own else invented_sentence(rng)
            stretch = f"(Parameter.set 'Duration_Stretch {rng.uniform(0.65, 1.25):.2f})"
            said = f'(set! u (utt.synth (Utterance Text "{text}")))'
            saved = f'(utt.save.wave u "{folder}/{index}.wav" \'riff) (utt.save.segs u "{folder}/{index}.lab")'
            lines += [stretch.encode(), said.encode(encoding, "ignore"), saved.encode()]
        script = folder / "batch.scm"
        script.write_bytes(b"\n".join(lines))
        subprocess.run(["festival", "-b", str(script)], check=True, capture_output=True)
        for index in range(15):
            rows = [
                line.split()
                for line in (folder / f"{index}.lab").read_text("utf-8", "ignore").splitlines()
            ]
            phones = [(float(row[0]), row[2]) for row in rows if len(row) == 3]
            yield (
                read_16k(folder / f"{index}.wav"),
                [(end, voice_visemes(language, phone)) for end, phone in phones],
            )
