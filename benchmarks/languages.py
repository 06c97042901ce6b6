"""Do lips follow voices and languages that were never heard in training, and speech that is noisy, coded or far away?

Motion alone, without rendering: the inner-lip gap of the generated mesh against phones whose times are known. Synthetic
voices of espeak-ng speak Article 1 of the Universal Declaration of Human Rights and a sentence full of p, b and m in
twenty-one languages; recordings of folders come with phones (a .phones or .lab file beside them) or without, in which
case what the speech encoder hears stands for them and only the rest in pauses, judged by the recording's energy, is
independent. Definitions: docs/languages.md.

Needs the espeak-ng library for the synthetic part (apt install espeak-ng).

Launch (one core, about 3 minutes)::

    python benchmarks/languages.py SPEECH_FOLDER
    python benchmarks/languages.py --languages de sw --no-conditions
    python benchmarks/languages.py SPEECH_FOLDER --presets talkhead rest
    python benchmarks/languages.py --render 4 --no-conditions
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from sound_conditions import Condition, conditions
from spoken_sets import (
    MANNERS,
    VOICES,
    Espeak,
    Recording,
    features_of_wave,
    recordings,
    script_as_heard,
    synthetic,
)

from talkhead_cli.evaluation.lips import LipMeasures, measure_lips
from talkhead_cli.pipeline import TalkingHeadPipeline
from talkhead_cli.settings import list_presets, resolve_settings
from talkhead_models.basis import FaceBasis
from talkhead_models.lip_audio import load_lip_audio
from talkhead_models.speech import SpeechFeatures, load_speech_encoder

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training"))
from espeak import EspeakError
from language_texts import LANGUAGE_NAMES, LANGUAGE_TEXTS

CONDITION_LANGUAGES = ("en-us", "de", "es", "ru", "hi", "ar", "ja", "cmn-latn-pinyin")
"""Languages in which manners and conditions are judged, a voice each."""

RENDER_SIZE = 320

COLUMNS = {
    "closures": ("closures", 2),
    "openings": ("openings", 2),
    "correlation": ("openness corr.", 2),
    "best": ("best corr.", 2),
    "lag": ("lag (ms)", 0),
    "rest": ("mouth in pauses", 3),
    "p95": ("gap p95", 3),
    "counted": ("p b m / vowels", 0),
}
LOSS_COLUMNS = {"loss": ("sync lost", 2), **COLUMNS}


@dataclass(frozen=True)
class Judged:
    """A recording, and how the lips followed it."""

    recording: Recording
    lips: LipMeasures


class Listener:
    """Encoders, and what they have heard already."""

    def __init__(self) -> None:
        self.encoder, self.lips = load_speech_encoder(), load_lip_audio()
        self.known: dict[str, SpeechFeatures] = {}

    def features(self, recording: Recording) -> SpeechFeatures:
        """Of every kind, (L, 56)."""
        if recording.name not in self.known:
            heard = features_of_wave(recording.wave, self.encoder, self.lips)
            self.known[recording.name] = heard
        return self.known[recording.name]


class Judge:
    """A preset as it is used, strengths of motion and all; its lips against what is said."""

    def __init__(self, preset: str, listener: Listener) -> None:
        self.pipeline = TalkingHeadPipeline(resolve_settings(preset, {"device": "cpu"}))
        self.listener = listener
        self.basis = FaceBasis.load()

    def features(self, recording: Recording) -> SpeechFeatures:
        """What this preset's generator reads."""
        size = self.pipeline.generator.denoiser.config.feature_size
        heard = self.listener.features(recording)
        return replace(heard, array=np.ascontiguousarray(heard.array[:, :size]))

    def gap(self, recording: Recording) -> np.ndarray:
        """The inner-lip gap (T,) of the motion, in outer-eye distances."""
        features = self.features(recording)
        count = round(features.duration_seconds * 25)
        motions = self.pipeline.motion(features, count)
        expression = np.concatenate([motion.expression for motion in motions])
        return np.abs(self.basis.lip_gap(expression)).astype(np.float64)

    def rendered_gap(self, recording: Recording) -> np.ndarray:
        """The same, measured by a face tracker on rendered frames before encoding."""
        from comparison import face_frames, gaps_of, track_images
        from PIL import Image
        from skimage.data import astronaut

        from talkhead_cli.face import load_portrait

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "portrait.png"
            Image.fromarray(astronaut()).save(path)
            portrait = load_portrait(path, size=RENDER_SIZE)
        features = self.features(recording)
        count = round(features.duration_seconds * 25)
        chunks = self.pipeline.render(portrait, features, count)
        frames = [frame for chunk in chunks for frame in chunk]
        return gaps_of(face_frames(track_images(frames)))

    def judge(
        self, recording: Recording, gap: Callable[[Recording], np.ndarray] | None = None
    ) -> Judged:
        """Measures of one recording."""
        script = recording.script
        if script is None:
            script = script_as_heard(recording, self.listener.features(recording))
        return Judged(recording, measure_lips((gap or self.gap)(recording), 25.0, script))


# Tables


def pooled(judged: Sequence[Judged]) -> dict[str, float | str | None]:
    """Shares over all closures and vowels of the recordings, means of the rest, lag as the median."""

    def over(counts: str, shares: str) -> float | None:
        pairs = [(getattr(j.lips, counts), getattr(j.lips, shares)) for j in judged]
        known = [(count, share) for count, share in pairs if count and share is not None]
        total = sum(count for count, _ in known)
        return sum(count * share for count, share in known) / total if total else None

    def mean(name: str, of: Callable[[Sequence[float]], np.floating] = np.mean) -> float | None:
        values = [v for j in judged if (v := getattr(j.lips, name)) is not None]
        return float(of(values)) if values else None

    closures = sum(j.lips.num_closures or 0 for j in judged)
    vowels = sum(j.lips.num_open_vowels or 0 for j in judged)
    return {
        "closures": over("num_closures", "closure_recall"),
        "openings": over("num_open_vowels", "open_vowel_recall"),
        "correlation": mean("openness_correlation"),
        "best": mean("openness_correlation_best"),
        "lag": mean("best_lag_ms", np.median),
        "rest": mean("mouth_rest"),
        "p95": mean("mouth_opening_p95"),
        "counted": f"{closures} / {vowels}",
    }


def grouped(
    judged: Iterable[Judged], key: Callable[[Judged], str]
) -> dict[str, dict[str, float | str | None]]:
    """`pooled` by a key, in order of appearance, and over all where there are several groups."""
    groups: dict[str, list[Judged]] = {}
    for item in judged:
        groups.setdefault(key(item), []).append(item)
    rows = {name: pooled(items) for name, items in groups.items()}
    if len(groups) > 1:
        rows["all"] = pooled([item for items in groups.values() for item in items])
    return rows


def show(
    title: str,
    rows: dict[str, dict[str, float | str | None]],
    columns: dict[str, tuple[str, int]] = COLUMNS,
) -> None:
    """A table as Markdown."""
    print(f"\n### {title}\n\n| | " + " | ".join(words for words, _ in columns.values()) + " |")
    print("|---|" + "---:|" * len(columns))
    for name, row in rows.items():
        cells = []
        for key, (_, digits) in columns.items():
            value = row.get(key)
            if isinstance(value, float):
                value = f"{value:.{digits}f}"
            cells.append("" if value is None else value)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def losses(
    clean: Sequence[Judged], spoiled: dict[str, list[Judged]]
) -> dict[str, dict[str, float | str | None]]:
    """Rows by condition, the clean one first; loss is the share of the clean correlation that is gone."""
    before = pooled(clean)
    rows = {"clean": before}
    for name, judged in spoiled.items():
        row = pooled(judged)
        if isinstance(row["correlation"], float) and before["correlation"]:
            row["loss"] = 1 - row["correlation"] / float(before["correlation"])
        rows[name] = row
    return rows


# What is spoken


def spoil(recording: Recording, condition: Condition) -> Recording:
    """The recording under a condition, the same every time."""
    name = f"{recording.name}, {condition.name}"
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return replace(recording, name=name, wave=condition.apply(recording.wave, rng))


def speak_all(engine: Espeak, languages: Sequence[str]) -> Iterator[Recording]:
    """Every language in every voice."""
    for language in languages:
        for voice in VOICES:
            yield synthetic(engine, language, voice)


class Benchmark:
    """Everything that is said, and one preset after another judged by it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.spoken: list[Recording] = []
        self.manners: list[Recording] = []
        self.conditions: list[Condition] = []
        if not args.no_synthetic:
            engine = Espeak()
            languages = args.languages or list(LANGUAGE_TEXTS)
            self.spoken = list(speak_all(engine, languages))
            chosen = [code for code in CONDITION_LANGUAGES if code in languages]
            self.conditioned = [LANGUAGE_NAMES[code] for code in chosen]
            if not args.no_conditions:
                self.manners = [
                    synthetic(engine, language, voice) for voice in MANNERS for language in chosen
                ]
                self.conditions = conditions([recording.wave for recording in self.spoken])
        self.recorded = [found for folder in args.speech for found in recordings(folder)]

    def run(self, judge: Judge) -> dict[str, dict[str, dict[str, float | str | None]]]:
        """All tables of a preset."""
        tables = {}
        spoken = [judge.judge(recording) for recording in self.spoken]
        if spoken:
            tables["Languages"] = grouped(spoken, lambda j: j.recording.language)
            tables["Voices"] = grouped(spoken, lambda j: j.recording.voice)
        if self.manners:
            said = [judge.judge(recording) for recording in self.manners]
            tables["Manners"] = grouped(said, lambda j: j.recording.voice)
        if self.conditions:
            clean = [
                item
                for item in spoken
                if item.recording.voice == VOICES[0].name
                and item.recording.language in self.conditioned
            ]
            spoiled = {
                one.name: [judge.judge(spoil(item.recording, one)) for item in clean]
                for one in self.conditions
            }
            tables["Conditions"] = losses(clean, spoiled)
        recorded = [judge.judge(recording) for recording in self.recorded]
        for title, by in (("known phones", "phones"), ("phones as heard", "visemes")):
            found = [item for item in recorded if item.lips.lips_judged_by == by]
            if found:
                tables[f"Recordings, {title}"] = grouped(found, lambda j: j.recording.name)
        return tables

    def confirm(self, judge: Judge, count: int) -> dict[str, dict[str, float | str | None]]:
        """Some recordings by motion and by rendered frames."""
        everything = [*self.spoken, *(r for r in self.recorded if r.script is not None)]
        places = np.linspace(0, len(everything) - 1, count).round().astype(int)
        rows = {}
        for recording in (everything[int(place)] for place in places):
            rows[f"{recording.name}, motion"] = pooled([judge.judge(recording)])
            frames = judge.judge(recording, judge.rendered_gap)
            rows[f"{recording.name}, frames"] = pooled([frames])
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("speech", type=Path, nargs="*", help="folders of recordings")
    parser.add_argument("--presets", nargs="+", default=["talkhead"], choices=list_presets())
    parser.add_argument("--languages", nargs="+", choices=list(LANGUAGE_TEXTS), metavar="CODE")
    parser.add_argument("--no-synthetic", action="store_true", help="recordings alone")
    parser.add_argument("--no-conditions", action="store_true", help="without noise and manners")
    parser.add_argument("--render", type=int, default=0, metavar="N", help="confirm N on frames")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    args = parser.parse_args()
    started = time.process_time()
    try:
        benchmark = Benchmark(args)
    except EspeakError as error:
        raise SystemExit(f"{error}, or give --no-synthetic") from error
    listener, found = Listener(), {}
    for preset in args.presets:
        judge = Judge(preset, listener)
        found[preset] = benchmark.run(judge)
        if args.render:
            found[preset]["Rendered"] = benchmark.confirm(judge, args.render)
        print(f"\n## `{preset}`")
        for title, rows in found[preset].items():
            show(title, rows, LOSS_COLUMNS if title == "Conditions" else COLUMNS)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{time.process_time() - started:.0f} s of processor time", file=sys.stderr)


if __name__ == "__main__":
    main()
