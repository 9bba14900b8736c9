"""Files between stages: whole, exact, equal for equal content, and honest when damaged."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from tests.strategies import forecasts, series_sets
from tsf.errors import FlowError, ModelError, SeriesError
from tsf.io.artifacts import (
    CARD,
    WEIGHTS,
    read_card,
    read_forecast,
    read_json,
    read_model,
    read_series,
    write_forecast,
    write_json,
    write_model,
    write_series,
)
from tsf.series import Forecast, SeriesSet

reusing_tmp_path = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def same_bits(one: Any, other: Any) -> bool:
    """Whether two sets or forecasts hold the same, bit for bit; arrays of texts by their texts."""
    if isinstance(one, np.ndarray):
        return (
            one.shape == other.shape and one.tolist() == other.tolist()
            if one.dtype == object
            else (one.dtype == other.dtype and one.tobytes() == other.tobytes())
        )
    if isinstance(one, SeriesSet | Forecast):
        return all(same_bits(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)
    if hasattr(one, "items"):
        return list(one) == list(other) and all(same_bits(value, other[name]) for name, value in one.items())
    return bool(one == other)


def small_series() -> SeriesSet:
    return SeriesSet(
        labels={"group": np.array(["a", "b"], object), "values": np.array(["", "x"], object)},
        times=np.array([0, 60, 120]),
        step_seconds=60,
        values=np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]),
        limit=np.full((2, 3), 9.0),
    )


def small_forecast() -> Forecast:
    return Forecast(
        labels={"group": np.array(["a", "b"], object)},
        origin_seconds=600,
        step_seconds=60,
        levels=np.array([0.1, 0.5]),
        quantiles=np.arange(8.0).reshape(2, 2, 2),
        p_breach=np.full((2, 2), 0.5),
        limit_time=np.array([np.inf, 700.0]),
    )


@reusing_tmp_path
@given(series_sets())
def test_series_come_back_bit_for_bit(tmp_path: Path, series: SeriesSet) -> None:
    write_series(series, tmp_path / "a.parquet")
    back = read_series(tmp_path / "a.parquet")
    assert same_bits(back, series)
    assert back.data_hash == series.data_hash
    write_series(back, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@reusing_tmp_path
@given(forecasts())
def test_a_forecast_comes_back_bit_for_bit(tmp_path: Path, forecast: Forecast) -> None:
    write_forecast(forecast, tmp_path / "a.parquet")
    back = read_forecast(tmp_path / "a.parquet")
    assert same_bits(back, forecast)
    write_forecast(back, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_many_row_groups_come_back_in_order(tmp_path: Path) -> None:
    n, t = 9, 2**18  # more samples than one row group takes
    values = np.arange(n * t, dtype=float).reshape(n, t)
    labels = {"n": np.array([str(i) for i in range(n)], object)}
    series = SeriesSet(labels=labels, times=np.arange(t), step_seconds=1, values=values)
    write_series(series, tmp_path / "s.parquet")
    assert pq.ParquetFile(tmp_path / "s.parquet").num_row_groups > 1
    assert same_bits(read_series(tmp_path / "s.parquet"), series)


def test_a_series_file_is_plain_parquet_with_one_row_per_series(tmp_path: Path) -> None:
    write_series(small_series(), tmp_path / "s.parquet")
    frame = pd.read_parquet(tmp_path / "s.parquet")
    assert list(frame.columns) == ["label_group", "label_values", "values", "limit"]
    assert frame["label_group"].tolist() == ["a", "b"]
    assert frame["values"][1].tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("write", "content", "read"),
    [(write_series, small_series(), read_series), (write_forecast, small_forecast(), read_forecast)],
)
def test_no_damage_to_a_file_goes_unnoticed_or_shows_a_stack_trace(
    tmp_path: Path, write: Any, content: Any, read: Any
) -> None:
    path = tmp_path / "file.parquet"
    write(content, path)
    good = path.read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    for length in range(0, len(good), 97):
        path.write_bytes(good[:length])
        with pytest.raises(SeriesError, match="run the stage"):
            read(path)
    for place in range(4, footer, 3):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        with suppress(SeriesError):
            assert same_bits(read(path), content)  # some bytes of a page header mean nothing to a reader


def test_foreign_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(SeriesError, match=r"x\.parquet: there is no such file; run the fetch stage\.$"):
        read_series(path)
    pq.write_table(pa.table({"values": [1.0]}), path)
    with pytest.raises(SeriesError, match="it is no series file of tsf"):
        read_series(path)
    write_forecast(small_forecast(), path)
    with pytest.raises(SeriesError, match="it is no series file of tsf"):
        read_series(path)
    path.write_text("not parquet at all")
    with pytest.raises(SeriesError, match="the forecast file cannot be used"):
        read_forecast(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"format": 2}, "it has format 2, this tsf reads 1"), ({"start": 3600}, "does not fit its hash")],
    ids=["a later format", "another start"],
)
def test_a_series_file_whose_header_was_changed_is_refused(
    tmp_path: Path, changed: dict[str, int], message: str
) -> None:
    path = tmp_path / "x.parquet"
    write_series(small_series(), path)
    table = pq.read_table(path)
    header = json.loads(table.schema.metadata[b"tsf"]) | changed
    pq.write_table(table.replace_schema_metadata({"tsf": json.dumps(header)}), path)
    with pytest.raises(SeriesError, match=message):
        read_series(path)


def test_json_is_sorted_stable_and_without_nan(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "facts.json"
    value = {"b": np.float64(0.1), "a": [np.nan, float("inf"), np.int32(3), np.array([1.5, np.nan])], "c": (True, None)}
    write_json(value, path)
    assert path.read_text() == (
        '{\n  "a": [\n    null,\n    null,\n    3,\n    [\n      1.5,\n      null\n    ]\n  ],\n'
        '  "b": 0.1,\n  "c": [\n    true,\n    null\n  ]\n}\n'
    )
    assert read_json(path) == {"a": [None, None, 3, [1.5, None]], "b": 0.1, "c": [True, None]}


def test_json_keeps_any_text(tmp_path: Path) -> None:
    text = 'ü\x00\n"\\\udc80\U0001d11e'
    write_json({"path": tmp_path, "text": text}, tmp_path / "x.json")
    assert read_json(tmp_path / "x.json") == {"path": str(tmp_path), "text": text}


def test_broken_and_missing_json_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="there is no such file; run the stage"):
        read_json(tmp_path / "x.json")
    for broken in ('{"a": ', "[" * 100_000):
        (tmp_path / "x.json").write_text(broken)
        with pytest.raises(FlowError, match="it cannot be read as JSON"):
            read_json(tmp_path / "x.json")


def test_a_value_that_json_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    write_json({"old": 1}, tmp_path / "x.json")
    with pytest.raises(TypeError):
        write_json({"new": object()}, tmp_path / "x.json")
    assert read_json(tmp_path / "x.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(FlowError, match="it cannot be written"):
        write_json({}, tmp_path / "data" / "x.json")
    with pytest.raises(FlowError, match="it cannot be written"):
        write_series(small_series(), tmp_path / "data" / "x.parquet")


WRITER = """
import itertools, sys
from pathlib import Path
import numpy as np
from tsf.io.artifacts import write_json, write_series
from tsf.series import SeriesSet
folder = Path(sys.argv[1])
for number in itertools.count():
    write_json({"numbers": [number] * 5000}, folder / "x.json")
    values = np.full((20, 2000), float(number))
    labels = {"n": np.array([str(i) for i in range(20)], object)}
    write_series(SeriesSet(labels=labels, times=np.arange(2000), step_seconds=1, values=values), folder / "x.parquet")
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_whole_files(tmp_path: Path) -> None:
    for pause in np.linspace(0, 0.05, 4):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
        assert len(set(read_json(tmp_path / "x.json")["numbers"])) == 1
        assert len(np.unique(read_series(tmp_path / "x.parquet").values)) == 1


def tensors() -> dict[str, np.ndarray[Any, Any]]:
    return {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([1, 2]), "empty": np.zeros((0, 3))}


CARD_CONTENT = {"spec": {"hidden_dim": 64, "bounds": (0.0, None)}, "data_hash": "ab", "metrics": {"wql": 0.1}}


def test_a_model_comes_back_bit_for_bit_with_its_card(tmp_path: Path) -> None:
    version = write_model(tmp_path, tensors(), CARD_CONTENT)
    back, card = read_model(tmp_path)
    assert all(same_bits(back[name], array) for name, array in tensors().items())
    assert card["version"] == version
    assert len(version) == 12
    assert card["spec"] == {"hidden_dim": 64, "bounds": [0.0, None]}
    assert card["metrics"] == {"wql": 0.1}
    assert read_card(tmp_path) == card


def test_the_version_follows_from_weights_spec_and_data_alone(tmp_path: Path) -> None:
    first = write_model(tmp_path / "a", tensors(), CARD_CONTENT)
    again = write_model(tmp_path / "b", dict(reversed(tensors().items())), CARD_CONTENT | {"metrics": 2, "commit": "x"})
    assert first == again
    assert (tmp_path / "a" / WEIGHTS).read_bytes() == (tmp_path / "b" / WEIGHTS).read_bytes()
    others = {
        write_model(tmp_path / "c", tensors() | {"a": np.array([1, 3])}, CARD_CONTENT),
        write_model(tmp_path / "c", tensors(), CARD_CONTENT | {"data_hash": "cd"}),
        write_model(tmp_path / "c", tensors(), CARD_CONTENT | {"spec": {"hidden_dim": 65}}),
    }
    assert len(others | {first}) == 4


def test_a_card_read_back_and_written_again_keeps_its_version(tmp_path: Path) -> None:
    version = write_model(tmp_path / "a", tensors(), CARD_CONTENT)
    back, card = read_model(tmp_path / "a")
    assert write_model(tmp_path / "b", back, card) == version


def test_every_damage_to_a_model_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(ModelError, match=r"card\.json is missing; train the task"):
        read_model(folder)
    write_model(folder, tensors(), CARD_CONTENT)
    weights, card = (folder / WEIGHTS).read_bytes(), (folder / CARD).read_bytes()
    for place in range(len(weights)):
        (folder / WEIGHTS).write_bytes(weights[:place] + bytes([weights[place] ^ 1]) + weights[place + 1 :])
        with pytest.raises(ModelError):
            read_model(folder)
        (folder / WEIGHTS).write_bytes(weights[:place])
        with pytest.raises(ModelError):
            read_model(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors is missing"):
        read_model(folder)
    (folder / WEIGHTS).write_bytes(weights)
    for broken in (b"", b"[]", b"{}", card[:-3], card.replace(b"64", b"65"), card.replace(b'"ab"', b'"cd"')):
        (folder / CARD).write_bytes(broken)
        with pytest.raises(ModelError):
            read_model(folder)
    (folder / CARD).write_bytes(card.replace(b'"format": 1', b'"format": 2'))
    with pytest.raises(ModelError, match="format 2, this tsf reads 1"):
        read_model(folder)
    (folder / CARD).write_bytes(card)
    read_model(folder)


def test_a_model_without_lineage_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no 'data_hash'"):
        write_model(tmp_path, tensors(), {"spec": {}})
    assert not list(tmp_path.iterdir())


def test_files_are_readable_for_others_as_the_umask_says(tmp_path: Path) -> None:
    write_json({}, tmp_path / "x.json")
    (tmp_path / "plain").touch()
    assert (tmp_path / "x.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_forecast_without_breach_output_stays_without(tmp_path: Path) -> None:
    write_forecast(replace(small_forecast(), p_breach=None, limit_time=None), tmp_path / "f.parquet")
    back = read_forecast(tmp_path / "f.parquet")
    assert back.p_breach is None
    assert back.limit_time is None
