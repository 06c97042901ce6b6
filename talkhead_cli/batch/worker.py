"""What a worker process does: one job after the other with loaded networks; results are values, never exceptions."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talkhead_cli.batch.job import Job, Outcome, Status
from talkhead_cli.console import Event
from talkhead_cli.devices import resolve_device
from talkhead_cli.errors import EXIT_BUG, OutOfMemory, TalkheadError, WeightsError, known_error
from talkhead_cli.hashing import sha256_of
from talkhead_cli.paths import private_folder, temporary_beside
from talkhead_cli.unchanged import check_unchanged

if TYPE_CHECKING:
    from talkhead_cli.networks import Networks
    from talkhead_cli.pipeline import TalkingHeadPipeline
    from talkhead_cli.result import RenderResult
    from talkhead_cli.settings import RenderSettings

STATUS = "status.json"
OUTCOME = "outcome.json"
STARTS = "starts"
"""A line for every time that the row has been started, by which run and where."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)

STATUS_SECONDS = 0.5
WATCH_SECONDS = 0.25
KEPT_NETWORKS = 2
"""Bundles that a worker holds at once, for manifests that mix presets."""


def worker_name() -> str:
    """This process, as "host:pid"."""
    return f"{socket.gethostname()}:{os.getpid()}"


def prepare_worker(threads: int) -> None:
    """Make a fresh process a worker: call it once, before torch is loaded.

    Args:
        threads: CPU threads that it may keep busy.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    # Ctrl-C in a terminal reaches the whole group; what it means is for the run to say.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()


def end_with_parent(parent: int) -> None:
    """End this process when the run that it works for is gone: what it made would go unrecorded."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)


class NetworkCache:
    """The networks of the bundles used last; the one thing that a worker keeps between jobs.

    Attributes:
        loads: times that networks were loaded.
    """

    def __init__(self) -> None:
        self.loads = 0
        self._kept: dict[tuple[str, str], Networks] = {}

    def pipeline(self, settings: RenderSettings) -> TalkingHeadPipeline:
        """A pipeline with these settings, of networks that are loaded already where there are such.

        Raises:
            WeightsError: a bundle is missing or damaged.
            OutOfMemory: the networks do not fit on the device.
        """
        from talkhead_cli.devices import model_errors
        from talkhead_cli.networks import Networks
        from talkhead_cli.pipeline import TalkingHeadPipeline

        key = (settings.bundle, settings.device)
        networks = self._kept.pop(key, None)
        with model_errors():
            if networks is None:
                while len(self._kept) >= KEPT_NETWORKS:
                    del self._kept[next(iter(self._kept))]
                self.loads += 1
                networks = Networks.load(settings.bundle, settings.device)
            self._kept[key] = networks
            return TalkingHeadPipeline(settings, networks)


@lru_cache(maxsize=1)
def networks() -> NetworkCache:
    """This process's own."""
    return NetworkCache()


def render_job(job: Job, device: str) -> Outcome:
    """Render one row; never raises.

    Args:
        job: what to render.
        device: as torch names it, or "auto".
    """
    blank = Outcome(row=job.row, key=job.key, state="failed", worker=worker_name(), device=device)
    try:
        attempts = count_start(job)
        blank = replace(blank, attempts=attempts)
        if attempts > job.max_attempts:
            message = (
                f"{job.output}: the worker died each of the {job.max_attempts} times that this row was started; "
                "look for what killed it (memory is the usual cause), then --resume --retry-failed"
            )
            return replace(blank, kind="WorkerDied", message=message, exit_code=EXIT_BUG)
        made, files = render_row(job, device)
        used = str(made.pop("device"))
        done = replace(blank, state="done", device=used, made=made, files=files)
        return replace(done, loads=networks().loads)
    except TalkheadError as error:
        words = " ".join(str(error).split())
        kind, code = type(error).__name__, error.exit_code
        return replace(blank, kind=kind, message=words, exit_code=code, loads=networks().loads)
    except Exception as error:
        known = known_error(error)
        if known is not None:
            kind, code, words = type(known).__name__, known.exit_code, f"{job.output}: {known}"
            return replace(blank, kind=kind, message=words, exit_code=code, loads=networks().loads)
        trace = traceback.format_exc(limit=-6)
        words = (
            f"{job.output}: this is a bug in talkhead ({type(error).__name__}: {error}); {trace}"
        )
        return replace(blank, kind="Bug", message=words, exit_code=EXIT_BUG, loads=networks().loads)


def render_row(job: Job, device: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What was made, and the files where they are sent back.

    Raises:
        TalkheadError: the row cannot be rendered.
    """
    if job.folder is None:
        from talkhead_cli.batch.copies import in_terms_of, named_as, unpack

        with private_folder() as folder:
            local = unpack(job, folder)
            try:
                made = render_here(local, device)
            except TalkheadError as error:
                raise type(error)(in_terms_of(job, local, str(error))) from error
            made["warnings"] = [in_terms_of(job, local, words) for words in made["warnings"]]
            files = {"video": Path(local.output).read_bytes()}
            if job.sidecar:
                files["sidecar"] = named_as(job, Path(local.output).with_suffix(".json"))
            return made, files
    Path(job.output).parent.mkdir(parents=True, exist_ok=True)
    return render_here(job, device), {}


def render_here(job: Job, device: str) -> dict[str, Any]:
    """Render a job whose files are all within reach, in smaller batches of frames while the device has no room.

    Raises:
        TalkheadError: the row cannot be rendered.
    """
    from talkhead_cli.settings import RenderSettings

    for path in folder_of(job).glob(".talkhead-*"):
        path.unlink(missing_ok=True)  # half files of a worker that was killed
    values = {**job.settings, "device": resolve_device(device)}
    settings = RenderSettings.model_validate(values)
    reporter = StatusWriter(job, settings.device)
    reporter.write("load")
    check_unchanged(job.seen, "the manifest was checked")
    pipeline = networks().pipeline(settings)
    check_bundles(job, settings.bundle, pipeline.hashes)
    while True:
        try:
            result = render_with(job, settings, pipeline, reporter)
            return reporter.made(result) | {"device": settings.device}
        except OutOfMemory:
            if pipeline.max_frames == 1:
                raise
            free_memory(settings.device)
            pipeline.max_frames = max(1, pipeline.max_frames // 4)


def check_bundles(job: Job, generator: str, loaded: Mapping[str, str]) -> None:
    """Insist that the weights are those that the run began with.

    Args:
        job: with the hashes that were found then.
        generator: name of its generator's bundle.
        loaded: sha256 of what was loaded, by bundle name.

    Raises:
        WeightsError: one was replaced meanwhile.
    """
    for name, digest in loaded.items():
        file = "generator" if name == generator else f"{name}.safetensors"
        if job.bundles.get(file, digest) != digest:
            raise WeightsError(
                f"bundle {name} was replaced while the batch ran; let it end, and go on with --resume"
            )


def render_with(
    job: Job, settings: RenderSettings, pipeline: TalkingHeadPipeline, reporter: StatusWriter
) -> RenderResult:
    """One try."""
    from talkhead_cli.render import render_file
    from talkhead_cli.result import OutputOptions

    assert job.folder is not None
    options = OutputOptions(
        overwrite=job.overwrite,
        sidecar=job.sidecar,
        folder=Path(job.folder),
        on_complete=reporter.complete,
        given=frozenset(job.given),
        consent_ref=job.consent_ref,
        signing=job.signing,
    )
    return render_file(
        settings,
        job.portrait,
        job.audio,
        job.output,
        reporter,
        options,
        pipeline,
        drive=job.drive,
        style=job.style,
    )


def free_memory(device: str) -> None:
    """Give back what the last try has left on a device."""
    import gc

    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


@dataclass
class StatusWriter:
    """Takes the events of a render; keeps the row's status and, just before the video is put in place, its outcome.

    Attributes:
        job: that is rendered.
        device: as torch names it.
        warnings: what the render had to say.
        sha256: of the finished video.
    """

    job: Job
    device: str
    warnings: list[str] = field(default_factory=list)
    sha256: str = ""
    _last: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if event["event"] == "warning":
            self.warnings.append(event["message"])
        elif event["event"] == "start":
            self.write("check")
        elif event["event"] == "progress" and time.monotonic() - self._last >= STATUS_SECONDS:
            rate = event["frames_per_second"]
            self.write("render", event["frames"], event["num_frames"], rate)

    def write(
        self, stage: str, frames: int = 0, num_frames: int | None = None, rate: float = 0.0
    ) -> None:
        """Keep a status; one that cannot be written is only missed by who watches."""
        self._last = time.monotonic()
        total = num_frames or self.job.num_frames
        status = Status(
            self.job.row, worker_name(), self.device, stage, frames, total, round(rate, 2)
        )
        with suppress(OSError, TalkheadError):
            write_json_file(folder_of(self.job) / STATUS, asdict(status))

    def complete(self, video: Path) -> None:
        """Note what the video is, before it is put in place; see `adopt`."""
        # On the disk before it has its name: a power cut must not leave the name of a film that is not there.
        with video.open("rb") as file:
            os.fsync(file.fileno())
        self.sha256 = sha256_of(video)
        values = {"key": self.job.key, "output_sha256": self.sha256, "device": self.device}
        write_json_file(folder_of(self.job) / OUTCOME, values)

    def made(self, result: RenderResult) -> dict[str, Any]:
        """What the outcome tells of a finished render."""
        event = result.to_event()
        kept = ("num_frames", "width", "height", "fps", "duration_seconds", "elapsed_seconds")
        values = {name: event[name] for name in (*kept, "frames_per_second", "timings")}
        told = {"output_sha256": self.sha256, "warnings": list(self.warnings)}
        return values | told | {"marking": self.job.settings.get("marking", True)}


def folder_of(job: Job) -> Path:
    """The row's own folder."""
    assert job.folder is not None
    return Path(job.folder)


def count_start(job: Job) -> int:
    """Note that the row is started; how often it has been, this time included. Always 1 where no folder is shared."""
    if job.folder is None:
        return 1
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / STARTS).open("a+", encoding="utf-8") as file:
        file.write(f"{job.run} {worker_name()}\n")
        file.flush()
        file.seek(0)
        # What killed an earlier run is no fault of the row.
        return sum(line.startswith(f"{job.run} ") for line in file)


def adopt(job: Job) -> Outcome | None:
    """The outcome of a row whose video was put in place just before its worker, or the run, was killed.

    Returns:
        None unless `job.output` is, byte for byte, what the row's last render made.
    """
    if job.folder is None:
        return None
    try:
        values = json.loads((Path(job.folder) / OUTCOME).read_text(encoding="utf-8"))
        if values["key"] != job.key or sha256_of(Path(job.output)) != values["output_sha256"]:
            return None
        starts = (Path(job.folder) / STARTS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError, KeyError, IndexError):
        return None
    made = {name: values[name] for name in ("output_sha256",)}
    made |= {"num_frames": job.num_frames, "duration_seconds": job.seconds}
    made |= {"marking": job.settings.get("marking", True)}
    return Outcome(
        job.row, job.key, "done", len(starts), starts[-1].split()[-1], values["device"], made=made
    )


def read_status(folder: Path | str) -> Status | None:
    """How far a row is; None where nothing is known."""
    try:
        return Status(**json.loads((Path(folder) / STATUS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_json_file(path: Path, values: dict[str, Any]) -> None:
    """A JSON file that is whole at any moment.

    Raises:
        OSError: it cannot be written.
        InputError: its folder cannot be written to.
    """
    temporary = temporary_beside(path)
    try:
        temporary.write_text(json.dumps(values), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
