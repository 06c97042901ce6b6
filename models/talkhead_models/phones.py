"""From phones to visemes: the phone sets of flite, festival and CMU dictionaries, and the IPA of espeak-ng.

A phone is one viseme or, for diphthongs and affricates, a sequence of two that share its time.
"""

from __future__ import annotations

import unicodedata

from talkhead_models.speech import VISEMES

SILENCE = 0

_GROUPS: dict[str, str] = {
    "silence": "pau sil sp h# brth ssil #",
    "PBM": "p b m em",
    "FV": "f v",
    "TH": "th dh",
    "TDN": "t d n en dx nx",
    "SZ": "s z",
    "SH": "sh zh ch jh",
    "KG": "k g ng hh hv h",
    "L": "l el",
    "R": "r er axr",
    "UW": "w uw uh ux wh",
    "OH": "ao ow oy",
    "AA": "aa ay aw ah",
    "AE": "ae eh ey",
    "IY": "iy ih y ix",
    "AX": "ax",
}

CMU_VISEMES: dict[str, tuple[int, ...]] = {
    phone: (VISEMES.index(viseme),)
    for viseme, phones in _GROUPS.items()
    for phone in phones.split()
}
"""Phones of flite, festival, CMUdict and pocketsphinx (lower case, no stress digit) to one or two viseme indices."""

CMU_VISEMES |= {
    "ay": (VISEMES.index("AA"), VISEMES.index("IY")),
    "aw": (VISEMES.index("AA"), VISEMES.index("UW")),
    "ey": (VISEMES.index("AE"), VISEMES.index("IY")),
    "ow": (VISEMES.index("OH"), VISEMES.index("UW")),
    "oy": (VISEMES.index("OH"), VISEMES.index("IY")),
}

_IPA_GROUPS: dict[str, str] = {
    "PBM": "p b m ɓ ʙ ɱ",
    "FV": "f v ʋ ɸ β ⱱ",
    "TH": "θ ð",
    "TDN": "t d n ʈ ɖ ɳ ɗ ɾ ɽ ɲ ȵ ɟ c",
    "SZ": "s z ʦ ʣ",
    "SH": "ʃ ʒ ɕ ʑ ʂ ʐ ʧ ʤ ç ʝ ɧ",
    "KG": "k ɡ g ŋ ɴ q ɢ x ɣ χ ʁ ħ ʕ h ɦ ʔ ʀ ɠ ʛ ʜ ʡ",
    "L": "l ɫ ɭ ʎ ɬ ɮ ʟ ɺ",
    "R": "r ɹ ɻ ɝ ɚ ɜ",
    "UW": "w u ʊ ʍ y ʏ ɥ ʉ ɯ",
    "OH": "o ɔ ɒ ø œ ɤ ɵ ɞ ɶ",
    "AA": "a ɑ ʌ ɐ",
    "AE": "æ ɛ ε e",
    "IY": "i ɪ j",
    "AX": "ə ɨ ɘ ɰ ᵻ",
}

IPA_VISEMES: dict[str, int] = {
    symbol: VISEMES.index(viseme)
    for viseme, symbols in _IPA_GROUPS.items()
    for symbol in symbols.split()
}
"""One IPA letter to its viseme. Length marks, ties, tones and other diacritics are not in it and are passed over."""


def cmu_visemes(phone: str) -> tuple[int, ...] | None:
    """Visemes of a CMU-style phone such as ``AH0`` or ``pau``; None where the phone is not known."""
    return CMU_VISEMES.get(phone.lower().rstrip("0123456789"))


def ipa_visemes(phone: str) -> tuple[int, ...]:
    """Visemes of an IPA phone as espeak-ng names it (``aɪ``, ``tʃ``, ``ɔ̃``): none for a pause or a language switch.

    Neighbours of one viseme are merged. An affricate keeps its last part, which is what the lips show.
    """
    if phone.startswith("("):
        return ()
    for written, letter in (("s.", "ʂ"), ("z.", "ʐ"), ("t.", "ʈ"), ("d.", "ɖ"), ("n.", "ɳ")):
        phone = phone.replace(written, letter)
    if len(phone) > 1 and phone[0] not in "hɦ":
        phone = phone.rstrip("hɦ")  # aspiration belongs to its stop
    visemes: list[int] = []
    for letter in phone:
        plain = unicodedata.normalize("NFD", letter)[0]
        index = IPA_VISEMES.get(letter, IPA_VISEMES.get(plain))
        if index is not None and (not visemes or visemes[-1] != index):
            visemes.append(index)
    if len(visemes) > 1 and VISEMES[visemes[0]] == "TDN" and VISEMES[visemes[1]] in ("SH", "SZ"):
        visemes = visemes[1:]
    return tuple(visemes[:2])
