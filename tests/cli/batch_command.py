"""`talkhead` whose batches are of stand-in rows, in real worker processes.

    python -m tests.cli.batch_command batch MANIFEST ...

Every line of MANIFEST is a JSON object of settings, see `tests.batch_stand_in`.
"""

from __future__ import annotations

import signal


def main() -> None:
    from talkhead_cli import app
    from talkhead_cli.batch import run
    from tests.batch_stand_in import stand_in_backend, stand_in_plan

    # A test run in the background of a shell ignores Ctrl-C, and so would we.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run.plan_batch = stand_in_plan  # type: ignore[assignment]
    run.open_backend = stand_in_backend
    app.main()


if __name__ == "__main__":
    main()
