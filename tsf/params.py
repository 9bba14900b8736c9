"""params.yaml as frozen, checked objects; every default of the project lives here alone."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from typing_extensions import Self

from tsf.errors import ParamsError
from tsf.kinds import (
    COUNTRY,
    AlertLine,
    Amount,
    Duration,
    Holidays,
    Label,
    LabelSets,
    Level,
    Limit,
    LimitQuery,
    Moment,
    Owners,
    Query,
    Sink,
    Source,
    TimeOfDay,
    Zone,
    duration_text,
    parse_amount,
)
from tsf.units import unit_of

__all__ = [
    "AlertParams",
    "DemoParams",
    "EvaluateParams",
    "FetchParams",
    "LoggingParams",
    "ModelType",
    "NightParams",
    "Params",
    "PrometheusParams",
    "PushParams",
    "Schedule",
    "SnapshotParams",
    "TaskParams",
    "TrainParams",
    "WorkingHoursParams",
    "effective",
    "parse_params",
    "read_params",
    "schema_text",
]

OVERRIDES = {"PROMETHEUS_URL": "base_url", "PUSHGATEWAY_URL": "pushgateway_url"}
MOST_SEED = 2**32 - 1  # which torch and numpy take alike
FILES = ("ca_file", "client_cert_file", "client_key_file")
METRIC, ADDRESS = r"^([a-zA-Z_:][a-zA-Z0-9_:]*)?$", r"^(https?://\S+)?$"
FORMS = {  # what is to be written where a text must be of a form
    COUNTRY: "a country and, if it matters, a region by their ISO codes: DE, CN or DE-BY",
    METRIC: "a name as metrics have: letters, digits, _ and :",
    ADDRESS: "an address that begins with http:// or https://",
}
ModelType = Literal["lstm", "gru", "transformer", "cnn_lstm", "attention"]
Schedule = Literal["one_cycle", "cosine", "constant"]
TASK_NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,62}\Z")  # safe in paths, URLs, DVC stage names, metric names and the shell


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_booleans(cls, section: Any) -> Any:
        """Without this, `epochs: true` would be one epoch."""
        for key, value in section.items() if isinstance(section, Mapping) else ():
            if isinstance(value, bool):
                raise ValueError(f"{key} is {str(value).lower()}; write a number, or quote the text")
        return section


class PrometheusParams(_Section):
    """Where metrics come from and where forecasts go; passwords and tokens come from the environment only."""

    base_url: Source = Field("demo", description="'demo', or a Prometheus: http://host:9090")
    pushgateway_url: Sink = Field(
        "textfile",
        description="'textfile' (node_exporter's format, in textfile/), or a Pushgateway: http://host:9091",
    )
    timeout: Annotated[float, Field(gt=0, le=3600)] = Field(
        30.0, description="seconds that a server may be silent; a whole answer may take ten times as long"
    )
    headers: dict[str, str] = Field({}, description="extra request headers, such as X-Scope-OrgID")
    ca_file: str = Field("", description="path of the CA certificates that sign the server's")
    client_cert_file: str = Field("", description="path of the client certificate, for mutual TLS")
    client_key_file: str = Field("", description="path of its key")

    @model_validator(mode="after")
    def _headers(self) -> Self:
        for name, value in self.headers.items():
            if not (name + value).isascii() or not value.isprintable():
                raise ValueError(f"header {name!r} holds a sign that no header may; write it in ASCII, on one line")
            if name.lower() in ("authorization", "cookie", "proxy-authorization"):
                raise ValueError(f"header {name} is a secret; set PROMETHEUS_BEARER_TOKEN in the environment instead")
        return self


def effective(server: PrometheusParams, environ: Mapping[str, str]) -> PrometheusParams:
    """`server` with the addresses that PROMETHEUS_URL and PUSHGATEWAY_URL give. Raises ParamsError for a wrong one."""
    for name, key in OVERRIDES.items():
        if address := environ.get(name):
            try:
                server = PrometheusParams.model_validate(server.model_dump() | {key: address})
            except ValidationError as faults:
                what, _, cure = faults.errors()[0]["msg"].removeprefix("Value error, ").partition("; ")
                raise ParamsError(what, where=name, cure=cure) from None
    return server


class SnapshotParams(_Section):
    """The moment that a run is about, so that it can be repeated exactly."""

    until: Moment = Field("2026-11-01T00:00:00Z", description="the last sample's time; `tsf run --now` moves it")

    @property
    def until_seconds(self) -> int:
        """`until` as Unix time."""
        return int(datetime.fromisoformat(self.until.replace("Z", "+00:00")).timestamp())


class DemoParams(_Section):
    """Size of the simulated fleet behind `prometheus.base_url: demo`."""

    seed: int = Field(7, ge=0, le=MOST_SEED, description="the same seed gives the same fleet, bit for bit")
    groups: int = Field(8, ge=1, le=2000, description="groups of users")
    users_per_group: int = Field(6, ge=1, le=1000, description="users in each group, on average")


class LoggingParams(_Section):
    """What tsf says while it works; LOG_LEVEL and DEBUG in the environment win."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="the least that is said")
    file: str = Field("", description="path of a log file, none by default")


class FetchParams(_Section):
    """What a task reads."""

    metric_query: Query = Field(description="PromQL of what is used")
    limit: Limit = Field(None, description="PromQL or number of what may be used; null: no breach output")
    covariates: dict[Label, Query] = Field({}, description="name -> PromQL of a series that may explain the metric")
    step: Duration = Field("1h", description="distance of two samples")  # type: ignore[assignment]
    history: Duration = Field("60d", description="how much is read, up to snapshot.until")  # type: ignore[assignment]

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.history < 2 * self.step:
            raise ValueError(f"history {duration_text(self.history)} holds fewer than 2 steps; lengthen it")
        if taken := sorted({"time", "times", "value", "values", "limit"} & self.covariates.keys()):
            raise ValueError(f"covariates cannot be called {taken[0]}, the data use that name; rename it")
        return self


class NightParams(_Section):
    """The hours that count as night in the task's time zone; they may pass midnight."""

    start: TimeOfDay = Field("20:00", description="first moment of the night")
    end: TimeOfDay = Field("08:00", description="first moment of the day")


class TrainParams(_Section):
    """The model of a task and how it learns; a key has the same name wherever it can be set."""

    model_type: ModelType = Field("lstm", description="kind of network")
    sequence_length: int = Field(168, ge=2, le=100_000, description="steps the model looks back")
    prediction_steps: int = Field(24, ge=1, le=10_000, description="steps it looks ahead, all in one go")
    dimensions: tuple[Label, ...] = Field(
        ("group", "user", "storage_type", "cluster"), description="labels it learns from; series without them are fine"
    )
    derived: tuple[Literal["rate", "burst"], ...] = Field(
        (), description="inputs made of the metric itself: its change in a step, its largest rise in the last day"
    )
    time_zone: Zone = Field("UTC", description="the clock that people on this cluster live by")
    night: NightParams = Field(NightParams(), description="the hours that count as night")
    holidays: Holidays = Field("", description="country, such as CN or US-CA")
    bounds: tuple[float | None, float | None] = Field((0.0, None), description="lowest and highest possible value")
    epochs: int = Field(60, ge=1, le=100_000, description="passes at the most; early stopping ends sooner")
    batch_size: int = Field(
        64, ge=0, le=65_536, description="windows in a step of the optimiser; 0: as many as pay and fit into memory"
    )
    learning_rate: float = Field(0.002, gt=0, le=1, description="largest step size of the schedule")
    schedule: Schedule = Field(
        "one_cycle", description="of the learning rate: a short rise, then a cosine to 0; that fall alone; or neither"
    )
    dropout: float = Field(0.2, ge=0, lt=1, description="share of the units that are left out while it learns")
    hidden_dim: int = Field(128, ge=1, le=8192, description="width of every kind but the Transformer")
    num_layers: int = Field(1, ge=1, le=64, description="layers of the network")
    d_model: int = Field(64, ge=2, le=8192, description="width of the Transformer")
    nhead: int = Field(4, ge=1, le=256, description="attention heads; must divide d_model, or hidden_dim for attention")
    early_stopping_patience: int = Field(30, ge=1, description="epochs without a better validation loss")
    windows_per_epoch: int = Field(2048, ge=1, description="windows drawn for an epoch, at most")
    level_shifts: float = Field(0.3, ge=0, le=1, description="share of the windows that are taught a change of level")
    members: int = Field(1, ge=1, le=16, description="networks trained side by side; their quantiles are averaged")
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    weight_decay: float = Field(0.01, ge=0, description="how strongly large weights are pulled towards 0")
    breach_samples: int = Field(1, ge=1, le=1000, description="samples in a row at the line that make a breach")
    quantiles: tuple[Level, ...] = Field(
        (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99),
        description="levels that are learnt, increasing, with 0.1, 0.5 and 0.9 among them",
    )
    holdout: Duration = Field("7d", description="the newest data, kept from training to judge it")  # type: ignore[assignment]
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU where torch sees one")
    seed: int = Field(0, ge=0, le=MOST_SEED, description="the same seed and data give the same model on the CPU")
    start: Literal["fresh", "champion"] = Field(
        "fresh", description="weights that training begins with: new ones, or those of the model in use"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the products while it learns; bfloat16 is for GPUs that are built for it"
    )
    processes: int = Field(1, ge=1, le=64, description="processes that train together, one per GPU")

    @model_validator(mode="after")
    def _sizes(self) -> Self:
        if self.d_model % self.nhead:
            raise ValueError(f"d_model {self.d_model} is not divisible by nhead {self.nhead}; change one of them")
        if self.model_type == "attention" and self.hidden_dim % self.nhead:
            raise ValueError(f"hidden_dim {self.hidden_dim} is not divisible by nhead {self.nhead}; change one of them")
        if list(self.quantiles) != sorted(set(self.quantiles)) or not {0.1, 0.5, 0.9} <= {*self.quantiles}:
            raise ValueError("quantiles must increase and hold 0.1, 0.5 and 0.9; sort them and add what is missing")
        if len(set(self.derived)) < len(self.derived):
            raise ValueError(f"derived {', '.join(self.derived)} holds one twice; name each once")
        low, high = self.bounds
        if low is not None and high is not None and low >= high:
            raise ValueError(f"bounds {low} … {high} leave no room; the first must be lower")
        return self

    @property
    def edges(self) -> tuple[float, float]:
        """`bounds` with infinity where there is none."""
        low, high = self.bounds
        return -math.inf if low is None else low, math.inf if high is None else high


class EvaluateParams(_Section):
    """How a model is judged on the held-out data."""

    stride: Duration = Field("6h", description="distance of two origins of the backtest")  # type: ignore[assignment]


class PushParams(_Section):
    """What is written back, as gauges of the present with the horizon as a label."""

    horizons: tuple[Duration, ...] = Field(
        ("6h", "12h", "24h"),  # type: ignore[arg-type]  # read as those of params.yaml are
        description="how far ahead; by default those of these that the model reaches, else all of its reach",
    )
    quantiles: tuple[Level, ...] = Field((0.1, 0.5, 0.9), description="levels, inside train.quantiles")
    totals: LabelSets = Field(
        (),
        description="labels that sums over the other labels keep, such as group, or lists of them; forecasts of series "
        "add up to theirs",
    )
    total_limit: LimitQuery = Field(
        None, description="PromQL of the limits of the totals; by default the limits of the series add up"
    )
    max_series: int = Field(100_000, ge=1, description="more output series are refused before anything is sent")
    alias: str = Field("", pattern=METRIC, description="also write the median as ai_forecast_ALIAS{horizon}")

    @model_validator(mode="after")
    def _once(self) -> Self:
        for name, values in {"horizons": self.horizons, "quantiles": self.quantiles}.items():
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must hold at least one value, each once; mend the list")
        return self

    def reaching(self, step_seconds: int, n_steps: int) -> Self:
        """With those horizons that are such steps, or with the last of the steps alone."""
        horizons = [one for one in self.horizons if one % step_seconds == 0 and one <= n_steps * step_seconds]
        return self.model_copy(update={"horizons": tuple(horizons or [n_steps * step_seconds])})

    def covered(self, reach_seconds: int, levels: Sequence[float]) -> Self:
        """With those horizons and quantiles alone, maybe none, that a forecast this far and of these levels covers."""
        horizons = tuple(horizon for horizon in self.horizons if horizon <= reach_seconds)
        quantiles = tuple(level for level in self.quantiles if levels[0] <= level <= levels[-1])
        return self.model_copy(update={"horizons": horizons, "quantiles": quantiles})


class WorkingHoursParams(_Section):
    """When people look at tickets, in the task's time zone; holidays of `train.holidays` are free."""

    start: TimeOfDay = Field("09:00", description="first moment of work")
    end: TimeOfDay = Field("18:00", description="first moment after work; before `start` for a shift past midnight")
    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        ("mon", "tue", "wed", "thu", "fri"), min_length=1, description="days of work"
    )


class AlertParams(_Section):
    """What counts as a breach, what alarms cost, and how many of them people can bear."""

    line: float = Field(0.98, gt=0, le=10, description="share of the limit at which it counts as reached")
    left: Amount = Field(
        None,
        description="it counts as reached, too, where no more than this is left: in the metric's unit, or as 500GiB",
    )
    policy: Literal["auto", "fixed"] = Field(
        "auto",
        description="auto: probability, hold and gate are chosen by replay, if it saw enough breaches; fixed: as set",
    )
    probability: Level = Field(0.5, description="an alarm fires at this breach probability")
    hold: int = Field(0, ge=0, le=1000, description="steps for which the probability must hold before it fires")
    gate: float = Field(0.5, ge=0, le=10, description="share of the limit that must be in use before it fires")
    confidence: Level = Field(0.5, description="the time to the limit is the earliest with this breach probability")
    act: Duration = Field("1h", description="notice that people need, within the horizon; a later alarm is late")  # type: ignore[assignment]
    budget: float = Field(5.0, gt=0, description="alarms a week that people can bear, per team and on average")
    team: Label | Literal[""] = Field("", description="label whose values are teams; by default all go to the owner")
    owners: Owners = Field(
        "",
        description="CSV of owners, a path or an address: columns are labels and `owner`; the others have the task's",
    )
    working_hours: WorkingHoursParams = Field(
        WorkingHoursParams(), description="an alarm is a page only if the breach may come before them, else a ticket"
    )
    runbook: str = Field("", max_length=500, pattern=ADDRESS, description="address of the page that says what to do")
    cost_false: float = Field(1.0, ge=0, description="cost of an alarm without a breach")
    cost_miss: float = Field(20.0, ge=0, description="cost of a breach without an alarm")
    cost_late: float = Field(10.0, ge=0, description="cost of a breach whose alarm left no time to act")

    @property
    def alert_line(self) -> AlertLine:
        """Where a limit counts as reached: `line` and `left` together."""
        return AlertLine(self.line, None if self.left is None else parse_amount(self.left))

    def fires(self, chance: NDArray[Any], used: NDArray[Any], limit: NDArray[Any]) -> NDArray[Any]:
        """(N,) whether an alarm would fire, once this has held; never where a chance, a use or a limit is unknown."""
        return (chance >= self.probability) & (used >= self.gate * limit) & (limit > 0)


class TaskParams(_Section):
    """One PromQL query with all that belongs to it."""

    preset: Literal["storage", "gpu", "network", "cpu", "custom"] = Field(
        "custom", description="what the task was made from; it only says so"
    )
    owner: str = Field("", max_length=200, description="who is asked when an alarm fires")
    fetch: FetchParams
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    push: PushParams = PushParams()
    alert: AlertParams = AlertParams()

    @model_validator(mode="after")
    def _reach(self) -> Self:
        if "horizons" not in self.push.model_fields_set:  # the only default that depends on other sections
            push = self.push.reaching(self.fetch.step, self.train.prediction_steps)
            object.__setattr__(self, "push", push)
        return self

    @model_validator(mode="after")
    def _fits(self) -> Self:
        step, fetch, train = self.fetch.step, self.fetch, self.train
        steps, held = fetch.history // step, train.holdout // step
        need = train.sequence_length + 2 * train.prediction_steps + held
        if steps < need:
            raise ValueError(
                f"fetch.history {duration_text(fetch.history)} holds {steps} steps, but sequence_length + "
                f"2 x prediction_steps + train.holdout need {need}; lengthen it or shorten them"
            )
        if held < train.prediction_steps:
            raise ValueError(
                f"train.holdout {duration_text(train.holdout)} is shorter than prediction_steps; lengthen it"
            )
        for name, seconds in [
            ("evaluate.stride", self.evaluate.stride),
            *(("push.horizons", h) for h in self.push.horizons),
        ]:
            if seconds % step:
                raise ValueError(f"{name} {duration_text(seconds)} is no multiple of the step {duration_text(step)}")
        for horizon in self.push.horizons:
            if horizon // step > train.prediction_steps:
                raise ValueError(
                    f"push.horizons {duration_text(horizon)} is beyond the model's {train.prediction_steps} "
                    f"prediction_steps of {duration_text(step)}; raise prediction_steps or drop it"
                )
        if self.push.totals and train.bounds[1] is not None:
            raise ValueError(f"push.totals would add values up that end at {train.bounds[1]:g}; drop them")
        for level in self.push.quantiles:
            if not train.quantiles[0] <= level <= train.quantiles[-1]:
                raise ValueError(f"push.quantiles {level} is outside train.quantiles; it would be made up")
        return self

    @model_validator(mode="after")
    def _same_unit(self) -> Self:
        left, unit = self.alert.left, unit_of(self.fetch.metric_query)
        if isinstance(left, str) and unit not in ("bytes", ""):
            raise ValueError(f"alert.left {left} is a size, but the metric is in {unit}; write a number in that unit")
        return self


def _task_name(name: str) -> str:
    if not TASK_NAME.match(name):
        raise ValueError(f"task name {name!r} may hold only a-z, 0-9 and _ (at most 63); rename it")
    if name == "user":
        raise ValueError("a task cannot be called 'user': /tasks/user/… of REST lists an owner's; rename it")
    return name


class Params(_Section):
    """The whole of params.yaml."""

    prometheus: PrometheusParams = PrometheusParams()
    snapshot: SnapshotParams = SnapshotParams()
    demo: DemoParams = DemoParams()
    logging: LoggingParams = LoggingParams()
    tasks: dict[Annotated[str, AfterValidator(_task_name)], TaskParams] = Field({}, description="name -> task")

    def task(self, name: str) -> TaskParams:
        """The task called `name`. Raises ParamsError that lists the tasks there are."""
        if name not in self.tasks:
            raise ParamsError(f"there is no task {name!r}", where="tasks", cure=f"choose from {', '.join(self.tasks)}")
        return self.tasks[name]


def parse_params(mapping: Mapping[str, Any]) -> Params:
    """Check a plain mapping. Raises ParamsError with the path of the first wrong key, its value and the cure."""
    try:
        return Params.model_validate(mapping)
    except ValidationError as faults:
        found = faults.errors(include_url=False)
        # A misspelt key is why another is missing, so it is named first.
        fault = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
        # pydantic's own words for a key of a mapping, and for the one of two types that did not fit
        path = ".".join(part for part in map(str, fault["loc"]) if not part.startswith(("[key]", "function-after[")))
        what, _, cure = _told(fault).partition("; ")
        raise ParamsError(what, where=f"params.yaml {path}".strip(), cure=cure or "change it") from None


def _told(fault: Mapping[str, Any]) -> str:
    """What is wrong with a key, in the words of YAML, and after a semicolon the cure."""
    kind, value, message = fault["type"], fault["input"], fault["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return "unknown key; mend its spelling or remove it"
    if kind == "missing":
        return "missing key; add it"
    if kind in ("model_type", "dict_type"):
        there = "nothing" if value is None else repr(value)
        return f"{there} stands where keys should; write them below, indented"
    if value is None:
        names = {"int_type": "a number", "float_type": "a number", "string_type": "a text", "tuple_type": "a list"}
        cure = message.partition("; ")[2] or "write one or remove the key"
        return f"{names.get(kind, 'a value')} is missing; {cure}"
    if kind == "string_pattern_mismatch" and (form := FORMS.get(fault["ctx"]["pattern"])):
        return f"{value!r} cannot stand here; write {form}"
    if kind == "tuple_type":
        example = "[a, b]" if isinstance(value, Mapping) else f"[{value}]"
        return f"{value!r} is no list; write it in brackets, as {example}"
    return message if kind == "value_error" else f"{value!r}: {message[0].lower()}{message[1:]}"


def read_params(root: Path) -> Params:
    """Read and check `root`/params.yaml; the files that it names are absolute then.

    Raises ParamsError for a missing file, broken YAML or a wrong key.
    """
    path = root / "params.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist", cure="run tsf in the project's folder") from None
    except (OSError, UnicodeDecodeError) as fault:
        raise ParamsError(f"it cannot be read ({fault})", where="params.yaml", cure="save it as UTF-8") from None
    return _rooted(_params_of(text), root)


def _rooted(params: Params, root: Path) -> Params:
    """Paths in params.yaml are those of the project, in whatever folder a notebook or a command runs."""
    server = {key: str(root.absolute() / path) for key in FILES if (path := getattr(params.prometheus, key))}
    log = {"file": str(root.absolute() / params.logging.file)} if params.logging.file else {}
    sections = {
        "prometheus": params.prometheus.model_copy(update=server),
        "logging": params.logging.model_copy(update=log),
    }
    return params.model_copy(update=sections) if server or log else params


@lru_cache(maxsize=4)
def _params_of(text: str) -> Params:
    """What this YAML says; a server reads the same file at each request, and YAML takes long."""
    try:
        mapping = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as fault:  # the last two: a day that no month has, endless nesting
        mark = getattr(fault, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(fault, "problem", None) or (str(fault) if isinstance(fault, ValueError) else "broken")
        raise ParamsError(f"it is not YAML ({problem})", where=f"params.yaml{line}", cure="mend that line") from None
    return parse_params({} if mapping is None else mapping)


def schema_text() -> str:
    """The JSON Schema of params.yaml, for editors, as params.schema.json holds it."""
    return json.dumps(Params.model_json_schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
