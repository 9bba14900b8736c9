"""A run as the queue starts it."""

import subprocess
import sys


def test_what_the_queue_starts_says_one_sentence_and_python_warns_of_nothing() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tsf.cli.runs", "bake", "cake"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert ran.stderr == "error: 'bake cake' is no stage and task; write one of fetch, train, evaluate, push.\n"
