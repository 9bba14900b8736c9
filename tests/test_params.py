"""params.yaml: what is accepted, and how every refusal reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tsf.errors import ParamsError
from tsf.kinds import duration_text, horizon_text, parse_duration
from tsf.params import AlertParams, Params, parse_params, read_params, schema_text

ROOT = Path(__file__).parents[1]


def task(**changes: Any) -> dict[str, Any]:
    """params.yaml with one task called a; `train__epochs=1` sets tasks.a.train.epochs."""
    sections: dict[str, Any] = {"fetch": {"metric_query": "used_bytes"}}
    for path, value in changes.items():
        *parents, key = path.split("__")
        section = sections
        for parent in parents:
            section = section.setdefault(parent, {})
        section[key] = value
    return {"tasks": {"a": sections}}


REFUSALS: list[tuple[dict[str, Any], str]] = [
    # structure
    ({"task": {}}, "params.yaml task: unknown key; mend its spelling or remove it."),
    (task(train__epoch=1), "params.yaml tasks.a.train.epoch: unknown key; mend its spelling or remove it."),
    ({"tasks": {"a": {}}}, "params.yaml tasks.a.fetch: missing key; add it."),
    ({"tasks": {"a": {"fetch": {}}}}, "params.yaml tasks.a.fetch.metric_query: missing key; add it."),
    (
        {"tasks": {"a": {"fetch": {"metric_qery": "up"}}}},
        "params.yaml tasks.a.fetch.metric_qery: unknown key; mend its",
    ),
    (
        task(train__dimensions="group"),
        "tasks.a.train.dimensions: 'group' is no list; write it in brackets, as [group].",
    ),
    (
        task(push__horizons={"a": "1h"}),
        "tasks.a.push.horizons: {'a': '1h'} is no list; write it in brackets, as [a, b].",
    ),
    (task(alert__team="a-b"), "params.yaml tasks.a.alert.team: 'a-b' is not a label name; use letters, digits and _."),
    (task(push__horizons=None), "tasks.a.push.horizons: a list is missing; write one or remove the key."),
    (task(train__epochs=None), "tasks.a.train.epochs: a number is missing; write one or remove the key."),
    (task(train__model_type=None), "tasks.a.train.model_type: a value is missing; write one or remove the key."),
    (task(fetch__step=None), "tasks.a.fetch.step: a value is missing; write a number with its unit, such as 5m"),
    ({"tasks": []}, "params.yaml tasks: [] stands where keys should; write them below, indented."),
    ({"tasks": {"a": None}}, "params.yaml tasks.a: nothing stands where keys should; write them below, indented."),
    (
        {"tasks": {"My-Task": task()["tasks"]["a"]}},
        "params.yaml tasks.My-Task: task name 'My-Task' may hold only a-z, 0-9 and _ (at most 63); rename it.",
    ),
    (
        {"tasks": {"user": task()["tasks"]["a"]}},
        "a task cannot be called 'user': /tasks/user/… of REST lists an owner's",
    ),
    ({"tasks": {"../evil": task()["tasks"]["a"]}}, "task name '../evil' may hold only a-z"),
    (task(train__epochs=True), "params.yaml tasks.a.train: epochs is true; write a number, or quote the text."),
    # durations and times
    (task(fetch__step=3600), "tasks.a.fetch.step: 3600 is not a duration; write a number with its unit, such as 5m"),
    (task(fetch__history="9" * 20 + "d"), "d' is longer than a century; write a shorter one"),
    (task(train__seed=2**64), "train.seed: 18446744073709551616: input should be less than or equal to 4294967295"),
    (task(fetch__step="1y"), "tasks.a.fetch.step: '1y' is not a duration"),
    (task(fetch__step="0s"), "tasks.a.fetch.step: '0s' is not a duration"),
    (task(fetch__step="1h 30m"), "tasks.a.fetch.step: '1h 30m' is not a duration"),
    (task(fetch__history="1h"), "tasks.a.fetch: history 1h holds fewer than 2 steps; lengthen it."),
    ({"snapshot": {"until": "yesterday"}}, "snapshot.until: 'yesterday' is not a time; write it quoted, as '2026-"),
    ({"snapshot": {"until": "2026-11-01T00:00:00"}}, "'2026-11-01T00:00:00' has no time zone; end it with Z for UTC."),
    (task(train__time_zone="Mars"), "train.time_zone: 'Mars' is not a time zone; write an IANA name: UTC,"),
    (
        task(train__night__start="25:00"),
        "train.night.start: '25:00' is not a time of day; write it quoted, as '20:00'.",
    ),
    (task(train__holidays="china"), "tasks.a.train.holidays: 'china' cannot stand here; write a country and"),
    (
        task(train__holidays="XX"),
        "tasks.a.train.holidays: no calendar of holidays is known for 'XX'; name a country and, if it",
    ),
    (task(train__holidays="DE-XX"), "tasks.a.train.holidays: no calendar of holidays is known for 'DE-XX'; name"),
    # queries
    (task(fetch__metric_query="sum("), "tasks.a.fetch.metric_query: 'sum(' is not PromQL (unclosed left parenthesis)"),
    (task(fetch__metric_query=""), "tasks.a.fetch.metric_query: '' is not PromQL"),
    (
        task(fetch__metric_query="x_total"),
        "'x_total' looks like a counter read without rate(); write rate(x_total[5m])",
    ),
    (task(fetch__limit="sum("), "tasks.a.fetch.limit: 'sum(' is not PromQL"),
    (task(fetch__limit=0), "tasks.a.fetch.limit: 0 is no limit; write PromQL, a number above 0, or null for no breach"),
    (task(fetch__limit=float("inf")), "tasks.a.fetch.limit: inf is no limit"),
    (task(fetch__limit=[1]), "tasks.a.fetch.limit: [1] is no limit"),
    (
        task(fetch__covariates={"a-b": "x"}),
        "fetch.covariates.a-b: 'a-b' is not a label name; use letters, digits and _.",
    ),
    (task(fetch__covariates={"a": "x("}), "fetch.covariates.a: 'x(' is not PromQL"),
    (task(fetch__covariates={"limit": "x"}), "covariates cannot be called limit, the data use that name; rename it."),
    # sizes
    (task(train__epochs=0), "tasks.a.train.epochs: 0: input should be greater than or equal to 1"),
    (task(train__epochs="many"), "tasks.a.train.epochs: 'many': input should be a valid integer"),
    (task(train__epochs=1.5), "tasks.a.train.epochs: 1.5: input should be a valid integer"),
    (task(train__dropout=1), "tasks.a.train.dropout: 1: input should be less than 1"),
    (task(train__learning_rate=float("nan")), "tasks.a.train.learning_rate: nan: input should be"),
    (
        task(train__model_type="rnn"),
        "model_type: 'rnn': input should be 'lstm', 'gru', 'transformer', 'cnn_lstm' or 'attention'",
    ),
    (
        task(train__model_type="attention", train__hidden_dim=30),
        "hidden_dim 30 is not divisible by nhead 4; change one of them",
    ),
    (task(train__d_model=65), "tasks.a.train: d_model 65 is not divisible by nhead 4; change one of them."),
    (task(train__derived=["rate", "rate"]), "tasks.a.train: derived rate, rate holds one twice; name each once."),
    (task(train__bounds=[2, 1]), "tasks.a.train: bounds 2.0 … 1.0 leave no room; the first must be lower."),
    (
        task(train__quantiles=[0.1, 0.9]),
        "tasks.a.train: quantiles must increase and hold 0.1, 0.5 and 0.9; sort them and add what is missing.",
    ),
    (task(train__quantiles=[0.5, 1.5]), "tasks.a.train.quantiles.1: 1.5: input should be less than 1"),
    (task(train__dimensions=["a b"]), "tasks.a.train.dimensions.0: 'a b' is not a label name"),
    # what does not fit together
    (
        task(train__sequence_length=2000),
        "fetch.history 60d holds 1440 steps, but sequence_length + 2 x prediction_steps + train.holdout need 2216",
    ),
    (task(train__holdout="12h"), "train.holdout 12h is shorter than prediction_steps; lengthen it."),
    (task(evaluate__stride="90m"), "evaluate.stride 1h30m is no multiple of the step 1h"),
    (task(push__horizons=["90m"]), "push.horizons 1h30m is no multiple of the step 1h"),
    (task(push__horizons=["48h"]), "push.horizons 2d is beyond the model's 24 prediction_steps of 1h; raise"),
    (task(push__horizons=[]), "tasks.a.push: horizons must hold at least one value, each once; mend the list."),
    (task(push__horizons=["6h", "360m"]), "tasks.a.push: horizons must hold at least one value, each once"),
    (task(push__quantiles=[0.5, 0.5]), "tasks.a.push: quantiles must hold at least one value, each once"),
    (task(push__quantiles=[0.999]), "push.quantiles 0.999 is outside train.quantiles; it would be made up."),
    (task(push__alias="a-b"), "tasks.a.push.alias: 'a-b' cannot stand here; write a name as metrics have"),
    (task(alert__runbook="wiki"), "tasks.a.alert.runbook: 'wiki' cannot stand here; write an address that begins with"),
    (task(push__max_series=0), "tasks.a.push.max_series: 0: input should be greater than or equal to 1"),
    (task(alert__line=0), "tasks.a.alert.line: 0: input should be greater than 0"),
    (task(alert__left=0), "tasks.a.alert.left: 0 is no amount; write a number above 0 in the metric's unit, or a size"),
    (task(alert__left="500GB"), "tasks.a.alert.left: '500GB' is no amount; write a number above 0"),
    (task(alert__left="5"), "tasks.a.alert.left: '5' is no amount"),
    (task(alert__left="0GiB"), "tasks.a.alert.left: '0GiB' is no amount"),
    (
        task(alert__left="2TiB", fetch__metric_query="cpu_usage_percent"),
        "tasks.a: alert.left 2TiB is a size, but the metric is in percent; write a number in that unit.",
    ),
    # servers
    (
        {"prometheus": {"base_url": "host:9090"}},
        "'host:9090' is not an address; write http://host:9090 or https://host.",
    ),
    ({"prometheus": {"pushgateway_url": "file"}}, "prometheus.pushgateway_url: 'file' is not an address"),
    ({"prometheus": {"timeout": 0}}, "prometheus.timeout: 0: input should be greater than 0"),
    (
        {"prometheus": {"headers": {"Authorization": "x"}}},
        "header Authorization is a secret; set PROMETHEUS_BEARER_TOKEN",
    ),
    ({"logging": {"level": "LOUD"}}, "logging.level: 'LOUD': input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ({"demo": {"seed": -1}}, "demo.seed: -1: input should be greater than or equal to 0"),
]


@pytest.mark.parametrize(("mapping", "text"), REFUSALS, ids=[text[:60] for _, text in REFUSALS])
def test_what_is_wrong_is_refused_with_its_path_and_the_cure(mapping: dict[str, Any], text: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_params(mapping)
    message = str(caught.value)
    assert text in message
    assert message.startswith("params.yaml ")
    assert message.endswith(".")
    assert "\n" not in message
    assert caught.value.cure


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    for url in ("http://me:s3cret@host:9090", "me:s3cret@host"):
        with pytest.raises(ParamsError, match="carries a password; put it in the environment") as caught:
            parse_params({"prometheus": {"base_url": url}})
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("key", ["base_url", "pushgateway_url"])
@pytest.mark.parametrize("end", ["/?apikey=s3cret", "?s3cret", "/#s3cret"])
def test_an_address_with_a_query_is_refused_and_its_key_not_shown(key: str, end: str) -> None:
    with pytest.raises(ParamsError, match=r"goes on with \? or #, where no path can follow; end it") as caught:
        parse_params({"prometheus": {key: f"https://localhost:19090{end}"}})
    assert "s3cret" not in str(caught.value)


def test_what_takes_long_to_import_waits_until_there_are_holidays() -> None:
    code = "import sys; from tsf.params import TrainParams as T; a = 'holidays' in sys.modules; T(holidays='DE-BY')"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; print(a, 'holidays' in sys.modules)"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["False", "True"]


def test_owners_may_be_asked_for_by_a_query() -> None:
    made = parse_params(task(alert__owners="https://cmdb/owners?form=csv")).task("a")
    assert made.alert.owners == "https://cmdb/owners?form=csv"


def test_a_task_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(ParamsError, match=r"tasks: there is no task 'b'; choose from a\."):
        parse_params(task()).task("b")


def test_defaults_alone_make_a_task() -> None:
    made = parse_params(task()).task("a")
    assert (made.fetch.step, made.fetch.history) == (3600, 60 * 86_400)
    assert made.push.horizons == (21_600, 43_200, 86_400)
    assert made.fetch.limit is None


@pytest.mark.parametrize(
    ("step", "steps", "hours"),
    [("1h", 24, [6, 12, 24]), ("1h", 12, [6, 12]), ("1h", 1, [1]), ("5m", 24, [2]), ("8h", 3, [24]), ("5h", 3, [15])],
)
def test_horizons_that_nobody_chose_are_those_that_the_model_reaches(step: str, steps: int, hours: list[int]) -> None:
    chosen = {"fetch__step": step, "train__prediction_steps": steps, "evaluate__stride": "40h", "fetch__history": "90d"}
    assert parse_params(task(**chosen)).task("a").push.horizons == tuple(3600 * hour for hour in hours)


def test_params_are_frozen_and_survive_being_written_and_read() -> None:
    mapping = task(fetch__limit=5, fetch__step="90s", fetch__history="3w", push__horizons=["90s"], alert__left="2TiB")
    params = parse_params(mapping)
    assert parse_params(params.model_dump(mode="json")) == params
    with pytest.raises(ValueError, match="frozen"):
        params.tasks["a"].push.max_series = 3  # type: ignore[misc]


@given(st.integers(1, 10**9))
def test_a_duration_is_read_as_it_is_written(seconds: int) -> None:
    assert parse_duration(duration_text(seconds)) == seconds
    assert parse_duration(horizon_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "duration", "horizon"),
    [(43_200, "12h", "12h"), (86_400, "1d", "24h"), (5_400, "1h30m", "90m"), (61, "1m1s", "61s")],
)
def test_durations_use_days_and_horizons_do_not(seconds: int, duration: str, horizon: str) -> None:
    assert (duration_text(seconds), horizon_text(seconds)) == (duration, horizon)


def test_the_names_of_all_time_zones_are_gathered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parse_params({"tasks": {"one": {"fetch": {"metric_query": "a"}, "train": {"time_zone": "Asia/Shanghai"}}}})
    monkeypatch.setattr("os.walk", lambda *_: pytest.fail("600 files are walked through for each task of a list"))
    parse_params({"tasks": {"one": {"fetch": {"metric_query": "a"}, "train": {"time_zone": "Europe/Berlin"}}}})


def test_a_moment_counts_from_any_zone() -> None:
    moments = ["2026-11-01T00:00:00Z", "2026-11-01T08:00:00+08:00"]
    seconds = {parse_params({"snapshot": {"until": moment}}).snapshot.until_seconds for moment in moments}
    assert seconds == {1_793_491_200}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: {", r"params\.yaml line 1: it is not YAML \(.*\); mend that line\."),
        ("a: 1\na: 2\n", r"params\.yaml line 2: it is not YAML \(found duplicate key \"a\""),
        ("- a\n", r"params\.yaml: \['a'\] stands where keys should"),
        ("snapshot: {until: 2026-11-01T00:00:00Z}\n", r"params\.yaml snapshot\.until: "),
    ],
)
def test_a_broken_file_names_the_line_or_the_key(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=message) as caught:
        read_params(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_or_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml does not exist; run tsf in the project's folder"):
        read_params(tmp_path)
    (tmp_path / "params.yaml").write_bytes(b"owner: \xff")
    with pytest.raises(ParamsError, match=r"it cannot be read .*; save it as UTF-8"):
        read_params(tmp_path)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("# nothing yet\n")
    assert read_params(tmp_path) == Params()


def test_the_schema_on_file_is_the_one_of_the_code() -> None:
    assert (ROOT / "params.schema.json").read_text(encoding="utf-8") == schema_text(), "run `python tools/reference.py`"


def test_the_schema_accepts_the_project_and_refuses_what_an_editor_should_mark() -> None:
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema).is_valid
    project = YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert check(project)
    assert check(task(fetch__limit=5.0))
    for wrong in (task(train__epoch=1), task(train__epochs=0), task(fetch__step=3600), {"tasks": {"a": {}}}):
        assert not check(wrong)


def test_an_alarm_fires_at_its_chance_and_gate_and_never_on_what_is_unknown() -> None:
    alert = AlertParams(probability=0.3, gate=0.9)
    chance = np.array([0.3, 0.29, 0.9, 0.9, np.nan, 0.9, 0.9, 0.9])
    used = np.array([9.0, 9.0, 8.9, 9.0, 9.0, np.nan, 9.0, 0.0])
    limit = np.array([10.0, 10.0, 10.0, 10.0, 10.0, 10.0, np.nan, 0.0])
    assert alert.fires(chance, used, limit).tolist() == [True, False, False, True, False, False, False, False]


@pytest.mark.parametrize("text", ["snapshot: {until: 2026-02-30T20:00:00Z}", "demo: {groups: !!int 'x'}", "[" * 3000])
def test_whatever_yaml_chokes_on_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ParamsError, match=r"params\.yaml.*: it is not YAML"):
        read_params(tmp_path)


@pytest.mark.parametrize(
    "address", ["http://user:pa/ss@127.0.0.1:1", "http://a..b:9090", "http://[::1", "http://:9090"]
)
def test_an_address_that_is_none_is_refused_and_no_password_is_shown(address: str) -> None:
    with pytest.raises(ParamsError) as caught:
        parse_params({"prometheus": {"base_url": address}})
    assert "pa/ss" not in str(caught.value)


@pytest.mark.parametrize("value", ["存储", "a\nb"])
def test_a_header_that_cannot_be_sent_is_refused(value: str) -> None:
    with pytest.raises(ParamsError, match="'X-Scope-OrgID' holds a sign that no header may"):
        parse_params({"prometheus": {"headers": {"X-Scope-OrgID": value}}})


def test_files_that_params_yaml_names_are_those_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "prometheus: {ca_file: tls/ca.pem, client_key_file: /etc/tsf.key}\nlogging: {file: tsf.log}\n"
    (tmp_path / "params.yaml").write_text(text)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    params = read_params(Path(".."))
    assert Path(params.prometheus.ca_file).resolve() == tmp_path / "tls" / "ca.pem"
    assert params.prometheus.client_key_file == "/etc/tsf.key"
    assert params.prometheus.client_cert_file == ""
    assert Path(params.logging.file).resolve() == tmp_path / "tsf.log"
