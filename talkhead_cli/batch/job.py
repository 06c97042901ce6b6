"""What the parts of a batch hand to each other, as plain values that travel to other processes and machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

from talkhead_cli.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_ROWS_FAILED
from talkhead_cli.unchanged import Stamp

if TYPE_CHECKING:
    from talkhead_cli.marking.signing import Signing

RUN_FOLDER = ".talkhead"
"""Folder of a run's state inside its output folder."""

TICK_SECONDS = 0.5
"""Longest silence of a backend; how often the table of rows is drawn."""

MAX_ATTEMPTS = 3
"""Times that a row is started when its worker dies under it."""


@dataclass(frozen=True)
class BatchRequest:
    """What `talkhead batch` was asked for.

    Attributes:
        manifest: CSV or JSONL file; "-" reads standard input.
        out_dir: where outputs and the run's state go.
        preset: name or path, for all rows that name none.
        options: render options given on the command line, for all rows that do not say otherwise; keys of
            `RenderSettings`.
        workers: processes; None takes one a device.
        devices: as torch names them; several CPU workers share "cpu".
        backend: where workers run.
        address: of a running Dask scheduler or Ray cluster; None starts one on this machine.
        copy_files: send inputs and outputs with the jobs, for machines that share no folder.
        resume: go on with the run in `out_dir`: skip what is done and unchanged.
        retry_failed: with `resume`, render failed rows again.
        max_failures: start no more rows once so many have failed; None goes on.
        skip_faulty: render the good rows although others have faults; those count as failed.
        overwrite: outputs that exist may be replaced.
        allow_outside: outputs may lie outside `out_dir`.
        sidecar: write a JSON file beside each video.
        dry_run: stop when everything is checked; nothing is written.
        signing: what a C2PA manifest in every video is signed with; None signs none.
        max_attempts: times a row is started when its worker dies under it.
        row_timeout: seconds after which a worker that does nothing is taken as hung, 0 = never; None takes the
            backend's own.
    """

    manifest: Path | str
    out_dir: Path
    preset: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    workers: int | None = None
    devices: tuple[str, ...] = ("auto",)
    backend: Literal["local", "dask", "ray"] = "local"
    address: str | None = None
    copy_files: bool = False
    resume: bool = False
    retry_failed: bool = False
    max_failures: int | None = None
    skip_faulty: bool = False
    overwrite: bool = False
    allow_outside: bool = False
    sidecar: bool = True
    dry_run: bool = False
    signing: Signing | None = None
    max_attempts: int = MAX_ATTEMPTS
    row_timeout: float | None = None


@dataclass(frozen=True)
class Fault:
    """Something in a manifest that would make a row fail.

    Attributes:
        row: number of the row, 1 = the first below the heading; 0 for the manifest as a whole.
        line: line of the file that the row begins on; 0 where there is none.
        column: the column at fault; "" for the row as a whole.
        message: what is wrong and what to do.
    """

    row: int
    line: int
    column: str
    message: str


@dataclass(frozen=True)
class Job:
    """One row, checked and ready.

    Attributes:
        row: number of the row, 1 = the first.
        portrait: absolute path of the picture, or of a film to be dubbed.
        audio: absolute path of the recording; None takes the sound of `drive`.
        drive: absolute path of a driving clip, if any.
        style: absolute path of a clip whose style is taken, if any.
        output: absolute path of the video.
        settings: `RenderSettings` as JSON-able values; "device" is left to the worker.
        key: sha256 over the contents of the inputs, the settings and the weight bundle.
        folder: private to the row, inside the run's folder: segments, status, outcome. It need not exist yet.
            None where worker and run share no folder.
        seconds: of video.
        num_frames: of the video.
        cost: what to sort by, longest first; about seconds of rendering.
        sidecar: write a JSON file beside the video.
        overwrite: the output may be replaced.
        run: identity of the run, so that attempts are counted for each run anew.
        max_attempts: give up when the run has started the row so often.
        files: contents by name ("portrait", "audio", "drive", "style"), sent along where no folder is shared.
        given: settings that a film must not replace by its own.
        seen: size and time of change of each input by its path, when the manifest was checked.
        bundles: sha256 of the weights by file name, likewise, the generator's as "generator".
        consent_ref: what is named as the consent of the person shown; "" for none.
        signing: what a C2PA manifest in the video is signed with; None signs none.
    """

    row: int
    portrait: str
    audio: str | None
    drive: str | None
    output: str
    settings: dict[str, Any]
    key: str
    folder: str | None
    seconds: float = 0.0
    num_frames: int = 0
    cost: float = 0.0
    sidecar: bool = True
    overwrite: bool = False
    run: str = ""
    max_attempts: int = MAX_ATTEMPTS
    style: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    seen: dict[str, Stamp] = field(default_factory=dict)
    bundles: dict[str, str] = field(default_factory=dict)
    consent_ref: str = ""
    signing: Signing | None = None


@dataclass(frozen=True)
class Outcome:
    """How a job ended; a value, since exceptions do not travel well.

    Attributes:
        row: of the job.
        key: of the job.
        state: "done", "failed" (rendering again would fail again) or "lost" (the worker died under it).
        attempts: how often the row has been started.
        worker: "host:pid".
        device: as torch names it.
        loads: times this worker has loaded networks so far.
        made: what a finished render made: num_frames, width, height, fps, duration_seconds, elapsed_seconds,
            timings, output_sha256, marking (whether it says that AI has made it).
        kind: class of the error; "" when done.
        message: of the error.
        exit_code: that a single render would have ended with.
        files: contents of what was made ("video", "sidecar"), where no folder is shared.
    """

    row: int
    key: str
    state: Literal["done", "failed", "lost"]
    attempts: int = 1
    worker: str = ""
    device: str = ""
    loads: int = 0
    made: dict[str, Any] = field(default_factory=dict)
    kind: str = ""
    message: str = ""
    exit_code: int = EXIT_DONE
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """How far a running row is; kept in a small file in its folder.

    Attributes:
        row: of the job.
        worker: "host:pid".
        device: as torch names it.
        stage: "load", "check", "render".
        frames: made so far.
        num_frames: in all; 0 where not yet known.
        frames_per_second: so far.
    """

    row: int
    worker: str
    device: str
    stage: str
    frames: int = 0
    num_frames: int = 0
    frames_per_second: float = 0.0


class Control:
    """How a run is stopped from outside; safe to use from signal handlers and threads.

    Plain flags, no `threading.Event`: its lock is not to be taken again by a second signal's handler.
    """

    def __init__(self) -> None:
        self._stop = False
        self._abort = False

    def stop(self) -> None:
        """Start no more rows; those that are running finish."""
        self._stop = True

    def abort(self) -> None:
        """Stop at once; running rows keep their finished segments."""
        self._stop = True
        self._abort = True

    @property
    def stopping(self) -> bool:
        """Whether no more rows are to be started."""
        return self._stop

    @property
    def aborted(self) -> bool:
        """Whether running rows are to be stopped, too."""
        return self._abort


class Backend(Protocol):
    """Where jobs are rendered; a context manager, since it owns processes."""

    name: str
    workers: int

    def __enter__(self) -> Backend: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def run(self, jobs: Sequence[Job], control: Control) -> Iterator[Outcome | None]:
        """Run jobs in their order, as many at once as there are workers.

        Yields:
            An outcome for every job that was started, in any order; None whenever nothing has happened for
            `TICK_SECONDS`. Ends when all have ended, or, once `control` says so, when nothing runs any more; jobs
            that were not started then have no outcome. A job whose worker died ends as "lost" and is not run again
            in this call.
        """
        ...


@dataclass(frozen=True)
class BatchSummary:
    """What a batch came to.

    Attributes:
        rows: in the manifest.
        done: rendered by this run.
        skipped: done by an earlier run.
        failed: rows that cannot be rendered.
        left: rows not started or not finished.
        loads: times networks were loaded.
        elapsed_seconds: of this run.
        interrupted: stopped from outside.
    """

    rows: int
    done: int
    skipped: int
    failed: int
    left: int
    loads: int
    elapsed_seconds: float
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """Of the command line."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        return EXIT_ROWS_FAILED if self.failed or self.left else EXIT_DONE
