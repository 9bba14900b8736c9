"""The demo source answers like a server, and its fleet behaves as docs/demo-fleet.md says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsf.errors import EmptyError, ParamsError, QueryError
from tsf.io.demo import METRICS, fetch_demo
from tsf.io.fleet.people import Window, day_of, draw, is_holiday, is_workday, ragged, users_in
from tsf.params import DemoParams, FetchParams, SnapshotParams
from tsf.series import SeriesSet, label_rows

UNTIL = SnapshotParams().until_seconds
HOUR, DAY = 3_600, 86_400
SMALL = DemoParams(groups=2, users_per_group=3)
LINE = 0.98


def fetched(
    query: str = "storage_used_bytes",
    *,
    demo: DemoParams = SMALL,
    until: int = UNTIL,
    history: int | None = None,
    **fetch: object,
) -> SeriesSet:
    params = FetchParams(metric_query="storage_used_bytes", **fetch).model_copy(update={"metric_query": query})
    return fetch_demo(demo, params, until, history_seconds=history)[0]


@pytest.fixture(scope="module")
def storage() -> SeriesSet:
    return fetched(demo=DemoParams(), limit="storage_quota_bytes")


def ratio(series: SeriesSet) -> np.ndarray:
    assert series.limit is not None
    return series.values / series.limit


# ── the source ──


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    first = fetched(limit="storage_quota_bytes", covariates={"jobs": "running_jobs"})
    again = fetched(limit="storage_quota_bytes", covariates={"jobs": "running_jobs"})
    other = fetched(limit="storage_quota_bytes", demo=SMALL.model_copy(update={"seed": 8}))
    assert first.data_hash == again.data_hash != other.data_hash


@pytest.mark.parametrize(
    ("metric", "data_hash"),
    [
        ("storage_used_bytes", "3aad2e47d48fd819"),
        ("gpu_memory_used", "38a7e3e2837fac68"),
        ("network_throughput", "2b7fb403a4922817"),
        ("cpu_usage_percent", "71c4a3b9c18c9b45"),
    ],
)
def test_the_fleet_is_the_same_on_every_machine_and_in_every_release(metric: str, data_hash: str) -> None:
    """Reports and docs/demo-fleet.md quote it: who changes the simulation changes these sums and measures anew."""
    assert fetched(metric, history=2 * DAY).data_hash.startswith(data_hash)


@settings(max_examples=15, deadline=None)
@given(
    metric=st.sampled_from(sorted(METRICS)),
    hours=st.integers(1, 24 * 40),
    shift=st.integers(0, 24 * 300),
    step=st.sampled_from(["5m", "30m", "1h", "6h"]),
)
def test_every_window_agrees_with_every_other_on_the_moments_they_share(
    metric: str, hours: int, shift: int, step: str
) -> None:
    long = fetched(metric, until=UNTIL + shift * HOUR, history=50 * DAY)
    short = fetched(metric, until=UNTIL + (shift - 100) * HOUR, history=max(hours * HOUR, 12 * HOUR), step=step)
    _, at_long, at_short = np.intersect1d(long.times, short.times, return_indices=True)
    assert len(at_short) > 0
    rows = {tuple(sorted(row.items())): index for index, row in enumerate(label_rows(long.labels))}
    for index, row in enumerate(label_rows(short.labels)):
        ours = long.values[rows[tuple(sorted(row.items()))]][at_long]
        np.testing.assert_array_equal(short.values[index][at_short], ours, err_msg=str(row))


def test_the_grid_is_aligned_to_the_step_and_ends_at_until_or_just_before() -> None:
    series = fetched(until=UNTIL + 1234, history=DAY)
    assert series.times[-1] == UNTIL
    assert (series.times % HOUR == 0).all()


@pytest.mark.parametrize(
    ("matchers", "kept"),
    [
        ('cluster="east"', lambda row: row["cluster"] == "east"),
        ('cluster!="east"', lambda row: row["cluster"] != "east"),
        ('storage_type=~"s.*|home"', lambda row: row["storage_type"] in ("scratch", "home")),
        ('storage_type=~"s"', lambda row: False),
        ('storage_type!~"scr.+"', lambda row: row["storage_type"] != "scratch"),
        ('nothing="", group="vision"', lambda row: row["group"] == "vision"),
        ('nothing!=""', lambda row: False),
    ],
)
def test_matchers_choose_the_series_that_prometheus_would(matchers: str, kept) -> None:  # type: ignore[no-untyped-def]
    expected = [row for row in label_rows(fetched(history=DAY).labels) if kept(row)]
    query = f"storage_used_bytes{{{matchers}}}"
    if expected:
        assert label_rows(fetched(query, history=DAY).labels) == expected
    else:
        with pytest.raises(EmptyError, match="storage_type"):
            fetched(query, history=DAY)


def test_a_metric_can_be_named_by_its_label() -> None:
    assert fetched('{__name__="cpu_usage_percent"}').data_hash == fetched("cpu_usage_percent").data_hash


@pytest.mark.parametrize(
    "query",
    [
        "sum(storage_used_bytes)",
        "storage_used_bytes / storage_quota_bytes",
        "storage_used_bytes offset 1d",
        "storage_used_bytes @ 1",
        "(storage_used_bytes)",
        "42",
        "node_memory_Active_bytes",
        'storage_used_bytes{user=~"(?P<x"}',
    ],
)
def test_other_promql_is_refused_with_the_query_the_metrics_and_the_cure(query: str) -> None:
    fetch = FetchParams.model_construct(metric_query=query, limit=None, covariates={}, step=HOUR, history=DAY)
    with pytest.raises((QueryError, ParamsError)) as caught:
        fetch_demo(SMALL, fetch, UNTIL)
    assert query in str(caught.value)
    if isinstance(caught.value, QueryError):
        assert all(part in str(caught.value) for part in ("storage_used_bytes", "prometheus.base_url"))


def test_limits_and_covariates_are_joined_on_the_labels_that_both_have() -> None:
    series = fetched(
        limit="storage_quota_bytes",
        covariates={"people": "active_users", "io": "io_throughput_bytes_per_second"},
        history=7 * DAY,
    )
    people, io = series.covariates["people"], series.covariates["io"]
    group = series.labels["group"]
    groups = fetched("active_users", history=7 * DAY)
    for row in range(series.n_series):
        owner = groups.labels["group"].tolist().index(group[row])
        np.testing.assert_array_equal(people[row], groups.values[owner])
    np.testing.assert_array_equal(np.isnan(io), np.isnan(series.values))
    assert series.limit is not None
    np.testing.assert_array_equal(np.isnan(series.limit), np.isnan(series.values))


def test_a_limit_with_more_labels_than_the_metric_is_refused() -> None:
    with pytest.raises(QueryError, match=r"fetch.limit 'storage_quota_bytes'.* no label group, storage_type, user"):
        fetched("cpu_usage_percent", limit="storage_quota_bytes")


def test_series_that_find_no_limit_are_kept_and_counted() -> None:
    fetch = FetchParams(metric_query="storage_used_bytes", limit='storage_quota_bytes{cluster="east"}')
    series, quality = fetch_demo(SMALL, fetch, UNTIL, history_seconds=DAY)
    elsewhere = series.labels["cluster"] != "east"
    assert quality.without_limit == elsewhere.sum() > 0
    assert series.limit is not None
    assert np.isnan(series.limit[elsewhere]).all()


def test_a_number_is_a_limit_for_every_series() -> None:
    assert (fetched("cpu_usage_percent", limit=100, history=DAY).limit == 100).all()


@pytest.mark.parametrize("metric", ["storage_used_bytes", "gpu_memory_used"])
def test_an_empty_desk_has_no_series_and_a_new_one_has_them_from_its_first_day(metric: str) -> None:
    desk = DemoParams(groups=1, users_per_group=1)
    ends = UNTIL + DAY * np.arange(1200)
    taken = [len(users_in(desk, Window(int(end) - DAY, HOUR, 24))) > 0 for end in ends]
    empty = taken.index(False)  # once in three years
    with pytest.raises(EmptyError):
        fetched(metric, demo=desk, until=int(ends[empty]), history=DAY)
    first = taken.index(True, empty)
    new = fetched(metric, demo=desk, until=int(ends[first + 1]), history=2 * DAY).values
    assert np.isnan(new[:, 0]).all()
    assert np.isfinite(new[:, -1]).any()


def test_times_before_1970_and_the_distant_future_are_no_trouble() -> None:
    for until in (0, 4_000_000_000):
        assert fetched(until=until, history=DAY).n_series > 0


# ── the storage ──


def test_the_default_fleet_has_about_two_hundred_areas_with_the_four_labels(storage: SeriesSet) -> None:
    assert 180 <= storage.n_series <= 240
    assert sorted(storage.labels) == ["cluster", "group", "storage_type", "user"]
    assert len(set(storage.labels["group"])) == 8


def test_five_thousand_areas_come_from_a_larger_fleet() -> None:
    series = fetched(demo=DemoParams(groups=190), history=DAY)
    assert 4_500 <= series.n_series <= 5_800


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_most_areas_are_85_to_95_percent_full_most_of_the_time(seed: int) -> None:
    full = ratio(fetched(demo=DemoParams(seed=seed), limit="storage_quota_bytes"))
    known = full[~np.isnan(full)]
    assert ((known >= 0.85) & (known <= 0.95)).mean() > 0.7
    assert (np.nanmedian(full, axis=1) >= 0.85).mean() > 0.8


def test_nobody_writes_beyond_the_quota(storage: SeriesSet) -> None:
    full = ratio(storage)
    assert np.nanmax(full) == 1.0
    assert np.nanmin(storage.values) > 0


def test_quotas_are_reached_some_forty_times_a_week_for_hours(storage: SeriesSet) -> None:
    breach = ratio(storage) >= LINE
    weeks = storage.n_steps / 168
    lengths = [
        length
        for row in breach
        for length in np.diff(np.flatnonzero(np.diff(np.r_[False, row, False].astype(int))))[::2]
    ]
    assert 15 <= len(lengths) / weeks <= 60
    assert np.median(lengths) >= 2
    assert max(lengths) < 7 * 24
    assert breach.mean() < 0.02


def test_a_straight_line_through_six_hours_cries_wolf(storage: SeriesSet) -> None:
    """The rule predict_linear(x[6h], 12h) > 0.98 of the limit: most of its alarms see no breach within 12 hours."""
    full = ratio(storage)
    windows = np.lib.stride_tricks.sliding_window_view(full, 7, axis=1)  # (N, T - 6, 7)
    hours = np.arange(-6.0, 1.0)
    slope = (windows * (hours - hours.mean())).sum(axis=2) / ((hours - hours.mean()) ** 2).sum()
    ahead = windows.mean(axis=2) + slope * (12 - hours.mean())
    fires = (ahead[:, 1:-12] > LINE) & ~(ahead[:, :-13] > LINE) & ~(full[:, 7:-12] >= LINE)
    futures = np.lib.stride_tricks.sliding_window_view(full[:, 8:], 12, axis=1)[:, : fires.shape[1]]
    comes_true = (futures >= LINE).any(axis=2)
    assert fires.sum() / (storage.n_steps / 168) > 80
    assert comes_true[fires].mean() < 0.3


def test_people_come_and_go_and_quotas_change(storage: SeriesSet) -> None:
    known = ~np.isnan(storage.values)
    assert 3 <= (~known[:, 0] & known[:, 72:].any(axis=1)).sum() <= 40
    assert 3 <= (~known[:, -1] & known[:, :-72].any(axis=1)).sum() <= 40
    assert storage.limit is not None
    steps = np.diff(storage.limit, axis=1)
    assert (steps > 0).sum() >= 5
    assert (steps < 0).sum() >= 3


def test_exporters_are_away_for_minutes_and_seldom_for_hours(storage: SeriesSet) -> None:
    missing = np.isnan(storage.values)
    always_there = ~missing[:, 0] & ~missing[:, -1]
    share = missing[always_there].mean()
    assert 0.002 < share < 0.03


def test_data_are_written_by_people_by_day_and_deleted_on_sunday_nights(storage: SeriesSet) -> None:
    io = fetched("io_throughput_bytes_per_second{storage_type='home'}", demo=DemoParams())
    local_hour = (io.times // HOUR + 8) % 24
    day = (local_hour >= 9) & (local_hour < 19)
    mean = np.nanmean(io.values, axis=0)
    assert mean[day].mean() > 2 * mean[~day].mean()
    scratch = storage.labels["storage_type"] == "scratch"
    purge = ((storage.times // HOUR + 8) % 24 == 3) & (day_of(storage.times) % 7 == 3)
    fell = (np.diff(storage.values[scratch], axis=1) < 0).mean(axis=0)
    assert fell[purge[1:]].mean() > 3 * fell[~purge[1:]].mean()


# ── the machines ──


def test_gpu_memory_is_idle_or_full_of_a_job_and_sometimes_runs_out() -> None:
    gpu = fetched("gpu_memory_used", demo=DemoParams(), limit="gpu_memory_total")
    share = ratio(gpu)
    known = share[~np.isnan(share)]
    assert sorted(gpu.labels) == ["cluster", "gpu", "group", "node", "user"]
    assert (known < 0.02).mean() > 0.4
    assert 0.05 < (known > 0.5).mean() < 0.5
    assert 0 < (known >= LINE).mean() < 0.05
    assert known.max() < 1


def test_cpus_stay_between_0_and_100_percent_and_links_below_their_capacity() -> None:
    cpu = fetched("cpu_usage_percent", demo=DemoParams())
    assert np.nanmin(cpu.values) >= 0
    assert 95 < np.nanmax(cpu.values) <= 100
    link = ratio(fetched("network_throughput", demo=DemoParams(), limit="network_capacity"))
    assert np.nanmin(link) >= 0
    assert 0.98 <= np.nanmax(link) <= 1


def test_machines_work_at_night_and_people_by_day() -> None:
    def by_local_hour(metric: str) -> np.ndarray:
        series = fetched(metric, demo=DemoParams())
        hour = (series.times // HOUR + 8) % 24
        return np.array([np.nanmean(series.values[:, hour == clock]) for clock in range(24)])

    jobs, people = by_local_hour("running_jobs"), by_local_hour("active_users")
    assert jobs[[22, 23, 0, 1]].mean() > 2 * jobs[[13, 14, 15, 16]].mean()
    assert people[[13, 14, 15]].mean() > 20 * people[[0, 1, 2]].mean()


def test_a_running_job_is_seen_on_storage_and_gpu_alike() -> None:
    """One cause, many curves: hours with jobs have more GPU memory in use and more bytes written to scratch."""
    jobs = fetched("running_jobs{group='vision'}", demo=DemoParams()).values[0]
    gpu = np.nansum(fetched("gpu_memory_used{group='vision'}", demo=DemoParams()).values, axis=0)
    busy, idle = jobs >= 3, jobs == 0
    assert np.median(gpu[busy]) > 5 * np.median(gpu[idle])


# ── the parts ──


@given(counts=st.lists(st.integers(0, 5), max_size=20))
def test_ragged_numbers_the_items_of_every_owner(counts: list[int]) -> None:
    owner, number = ragged(np.array(counts, np.int64))
    assert list(zip(owner.tolist(), number.tolist(), strict=True)) == [
        (index, item) for index, count in enumerate(counts) for item in range(count)
    ]


def test_draws_are_uniform_and_depend_on_every_key() -> None:
    moments = np.arange(200_000)
    drawn = draw(7, "a cause", moments)
    assert abs(drawn.mean() - 0.5) < 0.005
    assert abs(np.histogram(drawn, 10, (0, 1))[0] / len(moments) - 0.1).max() < 0.005
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.01
    for other in (draw(8, "a cause", moments), draw(7, "another", moments), draw(7, "a cause", moments, 1)):
        assert abs(np.corrcoef(drawn, other)[0, 1]) < 0.01
    assert draw(2**80, "a cause", 3).shape == (1,)


def test_the_calendar_knows_weekends_and_the_national_holidays() -> None:
    dates = ["2026-09-30", "2026-10-01", "2026-10-07", "2026-10-08", "2026-10-10", "2026-01-01", "2026-05-05"]
    days = np.array(dates, "datetime64[D]").astype(np.int64)
    assert is_holiday(days).tolist() == [False, True, True, False, False, True, True]
    assert is_workday(days).tolist() == [True, False, False, True, False, False, False]


def test_a_window_ends_one_step_after_its_last_moment() -> None:
    window = Window(100, 10, 3)
    assert window.times.tolist() == [100, 110, 120]
    assert window.stop == 130
