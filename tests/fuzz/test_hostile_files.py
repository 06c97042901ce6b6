"""Files made to hurt, through the real command line: what each ends with, in bounds of time and memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz import crafted, references
from tests.fuzz.cases import Case
from tests.fuzz.fuzz import Ended, Server, run_case
from tests.fuzz.seeds import Seeds, copy_to, make_seeds, run_ffmpeg, weights_with

pytestmark = pytest.mark.slow

Maker = Callable[[Path], Path]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    return make_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.fixture
def folder(tmp_path: Path, seeds: Seeds) -> Path:
    folder = tmp_path / "case"
    folder.mkdir()
    copy_to(seeds.portrait, folder)
    copy_to(seeds.speech, folder)
    return folder


def command(role: str, path: Path) -> list[str]:
    """A command line that is given a file in a role."""
    render = ["render", "face.png", "speech.wav", "-o", "out.mp4"]
    return {
        "portrait": ["probe", str(path)],
        "picture": ["render", str(path), "speech.wav", "-o", "out.mp4"],
        "audio": ["render", "face.png", str(path), "-o", "out.mp4"],
        "probed": ["probe", "face.png", str(path)],
        "stream": ["render", "face.png", str(path), "-o", "out.mp4", "--stream"],
        "film": ["evaluate", str(path)],
        "drive": ["render", "face.png", "--drive", str(path), "-o", "out.mp4"],
        "style": [*render, "--style", str(path)],
        "motion": ["render", "face.png", "--motion-in", str(path), "-o", "out.mp4"],
        "preset": [*render, "--preset", str(path)],
        "manifest": ["batch", str(path), "--out-dir", "videos", "--devices", "cpu", "--dry-run"],
    }[role]


def end(role: str, path: Path, folder: Path, server: Server, **values: dict[str, str]) -> Ended:
    """Run a command; what is wrong with how it ended fails the test."""
    words = command(role, path)
    output = folder / "out.mp4" if words[0] == "render" else None
    spoilt = path if role not in {"manifest", "probed"} else None
    case = Case("crafted", words, spoilt, output=output, **values)  # type: ignore[arg-type]
    ended = run_case(case, folder, server)
    assert not ended.problems
    return ended


ROWS: list[tuple[str, Maker, str, set[int]]] = [
    ("audio", crafted.slow_wav, "a.wav", {3}),
    ("audio", crafted.fast_wav, "a.wav", {3}),
    ("audio", crafted.wide_wav, "a.wav", {3}),
    ("audio", crafted.zero_length_wav, "a.wav", {3}),
    ("audio", crafted.boastful_wav, "a.wav", {3}),
    ("audio", crafted.not_numbers_wav, "a.wav", {3}),
    ("audio", crafted.endless_flac, "a.flac", {3}),
    ("probed", crafted.endless_flac, "a.flac", {0, 3}),
    ("audio", crafted.large_art_mp3, "a.mp3", {0, 3}),
    ("stream", crafted.slow_wav, "a.wav", {3}),
    ("stream", crafted.wide_wav, "a.wav", {3}),
    ("film", crafted.ages_film, "a.mp4", {3}),
    ("drive", crafted.ages_film, "a.mp4", {3}),
    ("style", crafted.ages_film, "a.mp4", {3}),
    ("picture", crafted.ages_film, "a.mp4", {3}),
    ("film", crafted.vast_film, "a.avi", {3}),
    ("picture", crafted.vast_film, "a.avi", {3}),
    ("portrait", crafted.bomb_png, "a.png", {3}),
    ("portrait", crafted.vast_png, "a.png", {3}),
    ("portrait", crafted.text_bomb_png, "a.png", {3}),
    ("portrait", crafted.many_frames_gif, "a.gif", {3}),
    ("portrait", crafted.many_frames_tif, "a.tif", {3}),
    ("portrait", crafted.circular_tif, "a.tif", {3}),
    ("motion", crafted.pickled_npz, "a.npz", {3}),
    ("motion", crafted.bomb_npz, "a.npz", {3}),
    ("motion", crafted.boastful_npz, "a.npz", {3}),
    ("motion", crafted.wide_csv, "a.csv", {3}),
    ("motion", crafted.nul_csv, "a.csv", {3}),
    ("manifest", crafted.wide_manifest, "a.csv", {3}),
    ("manifest", crafted.nul_manifest, "a.csv", {3}),
    ("manifest", crafted.deep_manifest, "a.jsonl", {3}),
    ("manifest", crafted.long_number_manifest, "a.jsonl", {3}),
    ("preset", crafted.laughing_preset, "a.yaml", {4}),
    ("preset", crafted.merging_preset, "a.yaml", {4}),
    ("preset", crafted.tagged_preset, "a.yaml", {4}),
    ("preset", crafted.deep_preset, "a.yaml", {4}),
    ("preset", crafted.impossible_date_preset, "a.yaml", {4}),
    ("preset", crafted.long_number_preset, "a.yaml", {4}),
]


@pytest.mark.parametrize(
    ("role", "maker", "name", "codes"), ROWS, ids=[f"{row[0]}-{row[1].__name__}" for row in ROWS]
)
def test_file_made_to_hurt(
    role: str, maker: Maker, name: str, codes: set[int], folder: Path, server: Server
) -> None:
    ended = end(role, maker(folder / name), folder, server)
    assert ended.code in codes


NETWORKS = ("talkhead", "face-basis", "refiner-mouth", "speech", "detail")


@pytest.mark.parametrize(("number", "name"), list(enumerate(sorted(crafted.BUNDLES))))
def test_bundle_made_to_hurt(
    number: int, name: str, folder: Path, seeds: Seeds, server: Server
) -> None:
    bundle = NETWORKS[number % len(NETWORKS)]
    file = f"{bundle}.safetensors"
    weights = weights_with(seeds, folder / "weights", file, crafted.BUNDLES[name], recorded=True)
    case = Case(
        "crafted",
        command("audio", Path("speech.wav")),
        environment={"TALKHEAD_WEIGHTS": str(weights)},
    )
    ended = run_case(case, folder, server)
    assert not ended.problems
    assert ended.code == 5


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A URL of this machine, and what has come in there."""
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                came.append(b"connected")
                connection.close()

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/secret.wav", came
        done.set()
        thread.join()


SUFFIXES = ("m3u8", "mp4", "wav", "png")


@pytest.mark.parametrize("make", references.REFERENCES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("role", ["portrait", "audio", "film"])
def test_file_that_names_another(
    make: Callable[[Path, str], Path],
    role: str,
    folder: Path,
    server: Server,
    listener: tuple[str, list[bytes]],
) -> None:
    url, came = listener
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=3:r=16000", folder / "secret.wav")
    places = ["secret.wav", str(folder / "secret.wav"), f"file://{folder}/secret.wav", url]
    for number, place in enumerate(places):
        path = make(folder / f"list{number}.{SUFFIXES[number % len(SUFFIXES)]}", place)
        keep = folder.with_name(f"{folder.name}-{number}")
        output = keep / "out.mp4" if role == "audio" else None
        case = Case("crafted", command(role, path), path, output=output)
        keep.mkdir()
        for file in folder.iterdir():
            copy_to(file, keep)
        ended = run_case(case, keep, server)
        assert not ended.problems
        # A track that lies elsewhere is looked for in the file itself.
        assert ended.code == 3 or make is references.external_track
    assert not came
