"""The log: one level from the environment or params.yaml, one place, and no other library's chatter."""

import logging
from pathlib import Path

import pytest

from tsf.errors import ParamsError
from tsf.io.logs import start_log
from tsf.params import LoggingParams

pytestmark = pytest.mark.usefixtures("no_log_yet")


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, {"warning"}),
        ({"LOG_LEVEL": "info"}, {"info", "warning"}),
        ({"DEBUG": "1", "LOG_LEVEL": "ERROR"}, {"debug", "info", "warning"}),
        ({"LOG_LEVEL": "ERROR"}, set()),
        ({"DEBUG": "False", "LOG_LEVEL": ""}, {"warning"}),
        ({"DEBUG": "0", "LOG_LEVEL": "info"}, {"info", "warning"}),
    ],
)
def test_the_environment_wins_over_params(environ: dict[str, str], said: set[str], tmp_path: Path) -> None:
    file = tmp_path / "tsf.log"
    start_log(LoggingParams(level="WARNING", file=str(file)), environ)
    log = logging.getLogger("tsf.io.http")
    log.debug("debug")
    log.info("info")
    log.warning("warning")
    logging.getLogger("urllib3").debug("not ours")
    assert {line.split(": ")[1] for line in file.read_text().splitlines()} == said


def test_starting_twice_says_nothing_twice(tmp_path: Path) -> None:
    file = tmp_path / "tsf.log"
    for _ in range(2):
        start_log(LoggingParams(file=str(file)), {})
    logging.getLogger("tsf").warning("once")
    assert len(file.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("params", "environ", "words"),
    [
        (LoggingParams(), {"LOG_LEVEL": "loud"}, "LOG_LEVEL: 'loud' is no level; write one of DEBUG"),
        (
            LoggingParams(file="/no/such/folder/tsf.log"),
            {},
            "logging.file: '/no/such/folder/tsf.log' cannot be written",
        ),
    ],
)
def test_a_mistake_is_one_sentence(params: LoggingParams, environ: dict[str, str], words: str) -> None:
    with pytest.raises(ParamsError) as fault:
        start_log(params, environ)
    assert words in str(fault.value)
