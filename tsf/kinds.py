"""The kinds of values in params.yaml, checked as they are read: durations, times, addresses, PromQL, labels."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue

from tsf.errors import ParamsError
from tsf.promql import check_query, selectors

__all__ = [
    "COUNTRY",
    "LABEL_NAME",
    "UNREADABLE",
    "AlertLine",
    "Amount",
    "Duration",
    "Holidays",
    "Label",
    "LabelSets",
    "Level",
    "Limit",
    "LimitQuery",
    "Moment",
    "Owners",
    "Query",
    "Sink",
    "Source",
    "TimeOfDay",
    "Zone",
    "chance_text",
    "count_text",
    "duration_text",
    "figure_text",
    "horizon_text",
    "minute_of_day",
    "moment_text",
    "parse_amount",
    "parse_duration",
    "plain_address",
    "share_in_use",
    "share_text",
    "span_text",
    "stamp_text",
    "urgent_first",
]

UNREADABLE = "an address that cannot be read"
UNIT_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
SPANS = {"{n:,} d": (86_400, 2), "{n:,} h": (3_600, 1), "{n:,} min": (60, 1), "{n:,} s": (1, 1)}  # from how many on
LONGEST = 36_525 * 86_400  # seconds of a duration: a century
COUNTRY = r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$"  # of a calendar of holidays, and its region
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")  # what Prometheus accepts everywhere
LABELS: JsonSchemaValue = {"type": "array", "items": {"type": "string", "title": "label"}}
SIZE = r"^(\d+(?:\.\d+)?)([KMGTPE])iB$"


@dataclass(frozen=True)
class AlertLine:
    """Where a limit counts as reached: at this share of it, or already where no more than `left` of it is left.

    left: in the metric's unit; None: the share alone says it. Whatever asks whether a limit is reached asks here.
    """

    share: float = 1.0
    left: float | None = None

    def level(self, limit: NDArray[np.float64]) -> NDArray[np.float64]:
        """What must be used, in the shape and unit of `limit`: min(share * limit, limit - left); NaN where that is.

        It is never below 0: a limit that is smaller than `left` counts as reached from the start.
        """
        level = self.share * limit
        return level if self.left is None else np.minimum(level, np.maximum(limit - self.left, 0.0))

    def shares(self, limit: NDArray[np.float64]) -> NDArray[np.float64]:
        """The level as a share of each limit; where there is no limit above 0, the share that is set."""
        if self.left is None:
            return np.full(limit.shape, self.share)
        with np.errstate(divide="ignore", invalid="ignore"):
            kept = np.maximum(1 - self.left / limit, 0.0)
        return np.where(limit > 0, np.minimum(self.share, kept), self.share)


def share_in_use(used: NDArray[np.float64], limit: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """(N,) what is used as a share of each limit; NaN without a limit above 0."""
    share = np.full(used.shape, np.nan)
    return share if limit is None else np.divide(used, limit, out=share, where=limit > 0)


def urgent_first(
    seconds_left: NDArray[np.float64],
    chance: NDArray[np.float64],
    share: NDArray[np.float64],
    growth: NDArray[np.float64] | None = None,
) -> list[int]:
    """Indices of N series, the most urgent first: the soonest at its limit, then the likeliest, fullest and steepest.

    seconds_left: (N,) until the limit is reached, 0 where it is, +Inf where it is not in sight. It ranks every series,
    for it is the time that is left to act; those with the same go by chance: (N,) of a breach within the horizon, then
    by share: (N,) of the limit in use, then by growth: (N,) of the median over the horizon, of series in one unit.
    NaN, for unknown, comes last in each; equal ones stay as they are. All that lists what is urgent asks here.
    """
    keys = [seconds_left, -chance, -share, *([] if growth is None else [-growth])]
    return [int(row) for row in np.lexsort(keys[::-1])]


def parse_duration(text: object) -> int:
    """Seconds of a Prometheus duration (`1h30m`, `60d`), a century at the most.

    Raises ValueError for anything else, bare numbers included.
    """
    pattern = "".join(rf"(?:(\d+){unit})?" for unit in UNIT_SECONDS)
    match = re.fullmatch(pattern, text) if isinstance(text, str) else None
    counts = match.groups("0") if match else ()
    seconds = sum(int(count) * size for count, size in zip(counts, UNIT_SECONDS.values(), strict=False))
    if seconds <= 0:
        raise ValueError(f"{text!r} is not a duration; write a number with its unit, such as 5m, 1h or 60d")
    if seconds > LONGEST:
        raise ValueError(f"{text!r} is longer than a century; write a shorter one")
    return seconds


def parse_amount(amount: object) -> float:
    """A number above 0 as it stands, a size (`500GiB`, `1.5TiB`) in bytes. Raises ValueError for anything else."""
    match = re.fullmatch(SIZE, amount) if isinstance(amount, str) else None
    value = float(match[1]) * 1024.0 ** (1 + "KMGTPE".index(match[2])) if match else amount
    if not (isinstance(value, int | float) and 0 < value <= sys.float_info.max):
        raise ValueError(
            f"{amount!r} is no amount; write a number above 0 in the metric's unit, or a size such as 500GiB"
        )
    return float(value)


def duration_text(seconds: int) -> str:
    """The Prometheus duration of a whole number of seconds, days at the most: 43200 -> `12h`, 5400 -> `1h30m`."""
    parts = []
    for unit in "dhms":
        count, seconds = divmod(seconds, UNIT_SECONDS[unit])
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def span_text(seconds: float, words: Callable[[str], str] = str) -> str:
    """A span for people, in its largest unit and the one below: 86400 -> `24 h`, 5400 -> `1 h 30 min`, `9 d`.

    Less than two days are hours. Where PromQL or params.yaml reads it, it is a duration_text or a horizon_text.
    """
    left, parts = round(seconds), []
    fits = [(unit, size) for unit, (size, least) in SPANS.items() if left >= least * size]
    for unit, size in fits[:2]:
        count, left = divmod(left, size)
        parts += [words(unit).format(n=count)] if count else []
    return " ".join(parts) or words("{n:,} s").format(n=0)


def figure_text(value: float | None, form: str = ",.4g") -> str:
    """A number for people; a dash where there is none: NaN, which is null in a metrics file. No exponent below 1e15."""
    if value is None or value != value:
        return "–"
    if form.endswith("g") and 9999.5 <= abs(value) < 1e15:
        form = ",.0f"  # `,.4g` would write 1e+04
    return format(value, form).replace("%", " %")


def count_text(number: float, one: str, many: str) -> str:
    """A number with what it counts: `1 breach`, `2,000 breaches`."""
    return f"{number:,.10g} {one if number == 1 else many}"


def moment_text(seconds: float) -> str:
    """Unix seconds for people, in UTC: `2026-11-01 08:30 UTC`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def stamp_text(seconds: float) -> str:
    """Unix seconds for programs, in UTC and as params.yaml has them: `2026-11-01T08:30:00Z`."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def chance_text(chance: float) -> str:
    """A chance, or a gain, for people, who take 0 % and 100 % for certain: 0.9976 -> `>99 %`."""
    if chance != chance:
        return "–"
    return "<1 %" if 0 < chance < 0.01 else ">99 %" if 0.99 < chance < 1 else figure_text(chance, ".0%")


def share_text(share: float) -> str:
    """A share that somebody has set, for people, who would miss a digit: 0.98 -> `98 %`, 0.985 -> `98.5 %`."""
    return f"{100 * share:.3g} %"


def plain_address(url: str) -> str:
    """An address for messages: without query, fragment and credentials, which may be secrets. A path stays as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return UNREADABLE
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def horizon_text(seconds: int) -> str:
    """A horizon as the label of a metric has it, in one unit and never in days: 86400 -> `24h`, 5400 -> `90m`."""
    unit = next(unit for unit in "hms" if seconds % UNIT_SECONDS[unit] == 0)
    return f"{seconds // UNIT_SECONDS[unit]}{unit}"


def minute_of_day(text: str) -> int:
    """Minutes from midnight to a time of day, `HH:MM`."""
    return 60 * int(text[:2]) + int(text[3:])


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f"{text!r} is not a time of day; write it quoted, as '20:00'")
    return text


_zones = cache(available_timezones)  # it walks through 600 files


def _zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"{name!r} is not a time zone; write an IANA name: UTC, Europe/Berlin, Asia/Shanghai")
    return name


def _calendar(name: str) -> str:
    if not name:
        return name
    import holidays  # here, as it takes as long as all other imports of a command

    country, _, region = name.partition("-")
    try:
        holidays.country_holidays(country, subdiv=region or None)
    except NotImplementedError:  # what this package raises for a country or region that it does not have
        raise ValueError(
            f"no calendar of holidays is known for {name!r}; name a country and, if it matters, a region by their ISO "
            "codes: DE, CN or DE-BY"
        ) from None
    return name


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f"{text!r} is not a time; write it quoted, as '2026-11-01T00:00:00Z'") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; end it with Z for UTC")
    return text


def _address(url: str) -> str:
    # First, so that no message shows it; anywhere, as a slash in a password ends what urlsplit takes for the host.
    if "@" in url:
        raise ValueError("the address carries a password; put it in the environment (PROMETHEUS_USERNAME, …_PASSWORD)")
    try:
        parts, host = urlsplit(url), urlsplit(url).hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not all(host.split(".")):
        raise ValueError(f"{url!r} is not an address; write http://host:9090 or https://host")
    return url.rstrip("/")


def _server(url: str) -> str:
    """The address of a server, to which paths are appended; a query may be a key, so no message shows it."""
    if "?" in url or "#" in url:
        raise ValueError(
            "the address goes on with ? or #, where no path can follow; end it before, and put credentials in the "
            "environment (PROMETHEUS_BEARER_TOKEN, …)"
        )
    return _address(url)


def _source(url: str) -> str:
    return url if url == "demo" else _server(url)


def _sink(url: str) -> str:
    return url if url == "textfile" else _server(url)


def _owners(place: str) -> str:
    return _address(place) if "://" in place else place


def _query(query: str) -> str:
    try:
        return check_query(query, "query")
    except ParamsError as fault:
        raise ValueError(f"{fault.what}; {fault.cure}") from None


def _limit(limit: object) -> object:
    """Only parsed: a limit named …_total is a size, not a counter."""
    if isinstance(limit, str):
        try:
            selectors(limit)
        except ParamsError as fault:
            raise ValueError(f"{fault.what}; {fault.cure}") from None
    elif limit is not None and not (isinstance(limit, int | float) and 0 < limit < math.inf):
        raise ValueError(f"{limit!r} is no limit; write PromQL, a number above 0, or null for no breach output")
    return limit


def _amount(amount: object) -> object:
    if amount is not None:
        parse_amount(amount)
    return amount


def _label_sets(sets: object) -> object:
    """A plain list of labels is one set of them."""
    if not isinstance(sets, list | tuple) or not sets:
        return sets
    plain = [name for name in sets if isinstance(name, str)]
    if len(plain) == len(sets):
        return [sets]
    if plain:
        raise ValueError(f"{plain[0]!r} stands beside lists of labels; write it as a list of its own, [{plain[0]}]")
    return sets


def _once(sets: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    known = [frozenset(names) for names in sets]
    if twice := [names for place, names in enumerate(sets) if frozenset(names) in known[:place]]:
        raise ValueError(f"the labels {list(twice[0])} are there twice; drop one of the lists")
    return sets


def _label(name: str) -> str:
    if not LABEL_NAME.match(name):
        raise ValueError(f"{name!r} is not a label name; use letters, digits and _")
    return name


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(duration_text),
    WithJsonSchema(
        {
            "type": "string",
            "title": "duration",
            "pattern": r"^(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?$",
            "examples": ["5m", "1h"],
        }
    ),
]
"""Written `1h` in YAML, whole seconds in Python."""
TimeOfDay = Annotated[str, AfterValidator(_time_of_day), Field(title="time of day")]
Zone = Annotated[str, AfterValidator(_zone), Field(title="time zone")]
Holidays = Annotated[str, Field(pattern=COUNTRY), AfterValidator(_calendar)]
Moment = Annotated[str, AfterValidator(_moment), Field(title="time")]
Query = Annotated[str, AfterValidator(_query), Field(title="PromQL")]
Label = Annotated[str, AfterValidator(_label), Field(title="label")]
LabelSets = Annotated[
    tuple[tuple[Label, ...], ...],
    BeforeValidator(_label_sets),
    AfterValidator(_once),
    WithJsonSchema({"anyOf": [LABELS, {"type": "array", "items": LABELS}]}),
]
"""Lists of labels; a plain list of labels is one of them."""
Level = Annotated[float, Field(gt=0, lt=1)]
Source = Annotated[str, AfterValidator(_source)]
Sink = Annotated[str, AfterValidator(_sink)]
Owners = Annotated[str, AfterValidator(_owners)]
LimitQuery = Annotated[Annotated[str, Field(title="PromQL")] | None, BeforeValidator(_limit)]
Limit = Annotated[Annotated[str, Field(title="PromQL")] | float | None, BeforeValidator(_limit)]
Amount = Annotated[Annotated[str, Field(title="size", pattern=SIZE)] | float | None, BeforeValidator(_amount)]
"""Kept as it is written, so that a size stays readable; `parse_amount` says what it is."""
