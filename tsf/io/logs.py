"""What tsf says while it works: to stderr or to the file of params.yaml, in commands, stages and kernels alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tsf.errors import ParamsError
from tsf.params import LoggingParams

__all__ = ["start_log"]

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
OFF = ("", "0", "false", "no", "off")  # what DEBUG may say, as other programs that read it take it


def start_log(params: LoggingParams, environ: Mapping[str, str]) -> None:
    """Let tsf's loggers speak from the level of DEBUG, LOG_LEVEL or `params` on; libraries stay as they were.

    Started twice it changes the level alone. Raises ParamsError for an unknown level or a file that cannot be written.
    """
    debug = environ.get("DEBUG", "").strip().lower() not in OFF
    said = "DEBUG" if debug else environ.get("LOG_LEVEL") or params.level
    if (level := said.upper()) not in LEVELS:
        raise ParamsError(f"{said!r} is no level", where="LOG_LEVEL", cure=f"write one of {', '.join(LEVELS)}")
    ours = logging.getLogger("tsf")
    if not ours.handlers:
        try:
            handler = logging.FileHandler(params.file) if params.file else logging.StreamHandler()
        except OSError as fault:
            what = f"{params.file!r} cannot be written ({fault.strerror})"
            raise ParamsError(what, where="params.yaml logging.file", cure="mend the path or its rights") from None
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        ours.addHandler(handler)
    ours.setLevel(level)
