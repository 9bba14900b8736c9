"""Every error that a user can cause or meet, each one a sentence with its cure.

TsfError
├── ParamsError        a value in params.yaml, a flag or an argument is wrong
│   ├── ChangedError   somebody else has changed params.yaml meanwhile
│   └── NoSuchSeriesError  no series carries the labels that were asked for
├── SeriesError        data breaks the contract of SeriesSet
│   └── HistoryError   there is too little of it
├── SourceError        metrics could not be read
│   ├── ConnectError   DNS, refused, TLS, time-out
│   ├── AuthError      401 or 403
│   ├── QueryError     the server refused the query: 400 or 422
│   ├── EmptyError     the query is right and matches nothing
│   └── ServerError    5xx after all retries, or an answer that is no answer
├── SinkError          forecasts could not be written
├── ModelError         a model cannot be built, found, loaded or used
└── FlowError          a stage, a notebook or a DVC command failed
    └── BusyError      another process does the same at this moment
"""

__all__ = [
    "AuthError",
    "BusyError",
    "ChangedError",
    "ConnectError",
    "EmptyError",
    "FlowError",
    "HistoryError",
    "ModelError",
    "NoSuchSeriesError",
    "ParamsError",
    "QueryError",
    "SeriesError",
    "ServerError",
    "SinkError",
    "SourceError",
    "TsfError",
]


class TsfError(Exception):
    """A mistake or a fault that a user can mend; its text is one sentence.

    `what` names the wrong value, `where` says where it came from (a key of params.yaml, a flag, a file, a server
    and its query), `cure` says what to do.
    """

    def __init__(self, what: str, *, where: str = "", cure: str = "") -> None:
        self.what, self.where, self.cure = what, where, cure
        super().__init__(what, where, cure)

    def __str__(self) -> str:
        prefix = f"{self.where}: " if self.where else ""
        suffix = f"; {self.cure}" if self.cure else ""
        return f"{prefix}{self.what}{suffix}."

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it in a notebook: the sentence alone, for no line of code is at fault."""
        return [f"error: {self}"]

    def __reduce__(self) -> tuple[object, ...]:
        """Survive a process boundary, as keyword arguments do not by themselves."""
        return (_rebuild, (type(self), self.what, self.where, self.cure))


def _rebuild(kind: type[TsfError], what: str, where: str, cure: str) -> TsfError:
    return kind(what, where=where, cure=cure)


class ParamsError(TsfError):
    """A value in params.yaml, a flag or an argument is wrong."""


class ChangedError(ParamsError):
    """params.yaml was changed by somebody else in the meantime."""


class NoSuchSeriesError(ParamsError):
    """No series carries the labels that were asked for."""


class SeriesError(TsfError):
    """Data breaks the contract of SeriesSet."""


class HistoryError(SeriesError):
    """There is too little data for what was asked."""


class SourceError(TsfError):
    """Metrics could not be read."""


class ConnectError(SourceError):
    """The server could not be reached: DNS, refused, TLS or time-out."""


class AuthError(SourceError):
    """The server answered 401 or 403."""


class QueryError(SourceError):
    """The server refused the query."""


class EmptyError(SourceError):
    """The query is right and matches nothing."""


class ServerError(SourceError):
    """The server failed after all retries, or its answer cannot be read."""


class SinkError(TsfError):
    """Forecasts could not be written."""


class ModelError(TsfError):
    """A model cannot be built, found, loaded or used."""


class FlowError(TsfError):
    """A stage, a notebook or a DVC command failed."""


class BusyError(FlowError):
    """Another process does the same at this moment."""
