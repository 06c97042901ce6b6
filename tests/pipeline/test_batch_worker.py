"""One row in a worker: results are values, whatever happens."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from talkhead_cli.batch import worker
from talkhead_cli.batch.job import Job
from talkhead_cli.errors import OutOfMemory
from talkhead_cli.hashing import sha256_of
from talkhead_cli.settings import resolve_settings
from tests.conftest import SPEECH, run_ffmpeg


@pytest.fixture
def job(hopper_png: Path, tmp_path: Path) -> Job:
    samples, rate = soundfile.read(SPEECH)
    soundfile.write(tmp_path / "speech.wav", samples[: round(0.5 * rate)], rate)
    return Job(
        row=4,
        portrait=str(hopper_png),
        audio=str(tmp_path / "speech.wav"),
        drive=None,
        output=str(tmp_path / "out" / "made.mp4"),
        settings=resolve_settings(None, {"size": 160}).model_dump(mode="json"),
        key="abc",
        folder=str(tmp_path / "row"),
        run="first",
    )


def test_networks_are_loaded_once_and_a_row_is_taken_over(job: Job) -> None:
    before = worker.networks().loads
    first = worker.render_job(job, "cpu")
    assert (first.state, first.attempts, first.device) == ("done", 1, "cpu"), first.message
    assert first.made["num_frames"] == 12
    assert first.made["output_sha256"] == sha256_of(Path(job.output))
    again = worker.render_job(replace(job, overwrite=True), "cpu")
    assert (again.state, again.attempts) == ("done", 2)
    assert again.loads == first.loads <= before + 1
    assert again.made["output_sha256"] == first.made["output_sha256"]

    status = worker.read_status(str(job.folder))
    assert status is not None
    assert (status.row, status.worker) == (4, worker.worker_name())
    adopted = worker.adopt(job)
    assert adopted is not None
    assert adopted.made["output_sha256"] == first.made["output_sha256"]
    assert worker.adopt(replace(job, key="other")) is None
    Path(job.output).write_bytes(b"somebody else's")
    assert worker.adopt(job) is None
    Path(job.output).unlink()
    assert worker.adopt(job) is None


def test_a_film_is_dubbed_with_what_the_plan_says(job: Job, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    still = ["-loop", 1, "-i", job.portrait, "-t", 1, "-r", 10, "-vf", "scale=320:-2"]
    run_ffmpeg(*still, "-pix_fmt", "yuv420p", film)
    settings = {**job.settings, "fps": "20", "crf": 20, "size": None}
    dubbed = replace(job, portrait=str(film), settings=settings, given=("crf", "fps"))
    loads = worker.networks().loads
    outcome = worker.render_job(dubbed, "cpu")
    assert outcome.state == "done", outcome.message
    assert outcome.loads <= loads + 1
    made = outcome.made
    assert (made["width"], made["fps"], made["num_frames"]) == (320, 20, 10)
    record = json.loads(Path(job.output).with_suffix(".json").read_text())
    assert (record["portrait"], record["settings"]["crf"]) == (str(film), 20)


def test_files_travel_where_no_folder_is_shared(job: Job) -> None:
    shared = worker.render_job(job, "cpu")
    files = {
        "portrait": Path(job.portrait).read_bytes(),
        "audio": Path(job.audio or "").read_bytes(),
    }
    output = "/elsewhere/made.mp4"
    lonely = replace(
        job, folder=None, files=files, portrait="/a/p.png", audio="/a/s.wav", output=output
    )
    sent = worker.render_job(lonely, "cpu")
    assert sent.state == "done", sent.message
    assert sent.files["video"] == Path(job.output).read_bytes()
    assert sent.made["output_sha256"] == shared.made["output_sha256"]
    broken = worker.render_job(replace(lonely, files={**files, "portrait": b"no picture"}), "cpu")
    assert broken.state == "failed"
    assert broken.message.startswith("/a/p.png")
    sidecar = json.loads(sent.files["sidecar"])
    assert (sidecar["portrait"], sidecar["audio"], sidecar["output"]) == (
        "/a/p.png",
        "/a/s.wav",
        output,
    )


def test_errors_are_values(job: Job) -> None:
    missing = worker.render_job(replace(job, portrait=job.portrait + "x"), "cpu")
    assert (missing.state, missing.kind, missing.exit_code) == ("failed", "InputError", 3)
    assert "no such file" in missing.message
    bug = worker.render_job(replace(job, settings={**job.settings, "fps": "nonsense"}), "cpu")
    assert (bug.state, bug.kind, bug.exit_code) == ("failed", "Bug", 1)
    assert worker.adopt(job) is None


def test_a_row_that_kills_its_workers_is_given_up(job: Job) -> None:
    for _ in range(job.max_attempts):
        worker.count_start(job)
    given_up = worker.render_job(job, "cpu")
    assert (given_up.state, given_up.kind) == ("failed", "WorkerDied")
    assert not Path(job.output).exists()
    # What another run went through is not held against the row.
    assert worker.count_start(replace(job, run="second")) == 1


def test_less_is_rendered_at_once_while_memory_is_short(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def short_of_memory(job, settings, pipeline, reporter):
        sizes.append(pipeline.max_frames)
        if pipeline.max_frames > 1:
            raise OutOfMemory("the GPU ran out of memory")
        return render_with(job, settings, pipeline, reporter)

    render_with = worker.render_with
    monkeypatch.setattr(worker, "render_with", short_of_memory)
    assert worker.render_job(job, "cpu").state == "done"
    assert sizes == [16, 4, 1]

    monkeypatch.setattr(worker, "render_with", out_of_memory)
    failed = worker.render_job(replace(job, overwrite=True), "cpu")
    assert (failed.state, failed.kind, failed.exit_code) == ("failed", "OutOfMemory", 7)


def out_of_memory(*_: object) -> None:
    raise OutOfMemory("the GPU ran out of memory")
