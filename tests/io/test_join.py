from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsf.errors import QueryError
from tsf.io.join import join_rows


def test_each_series_finds_the_one_with_its_own_labels() -> None:
    series = [{"user": "a"}, {"user": "b"}]
    assert join_rows(series, series[::-1], "fetch.limit").tolist() == [1, 0]


def test_users_of_a_group_share_its_limit_and_one_without_group_has_none() -> None:
    series = [{"group": "x", "user": "a"}, {"group": "x", "user": "b"}, {"user": "c"}]
    assert join_rows(series, [{"group": "y"}, {"group": "x"}], "fetch.limit").tolist() == [1, 1, -1]


def test_a_limit_without_labels_is_everybodys() -> None:
    assert join_rows([{"a": "1"}, {}], [{}], "fetch.limit").tolist() == [0, 0]


def test_the_very_same_labels_go_before_fewer() -> None:
    series = [{"group": "x", "user": "a"}, {"group": "x", "user": "b"}]
    assert join_rows(series, [{"group": "x"}, {"group": "x", "user": "a"}], "fetch.limit").tolist() == [1, 0]


def test_two_that_belong_to_one_series_are_named() -> None:
    with pytest.raises(QueryError, match=r"both \{'group': 'x'\} and \{'user': 'a'\}.*aggregate"):
        join_rows([{"group": "x", "user": "a", "type": "s"}], [{"group": "x"}, {"user": "a"}], "fetch.limit")


def test_a_label_that_the_metric_lacks_is_named_with_its_cure() -> None:
    with pytest.raises(QueryError, match=r"no label kind; write max by \(group\)"):
        join_rows([{"group": "x", "user": "a"}], [{"group": "x", "kind": "hard"}], "fetch.limit")


def test_labels_with_other_values_are_shown() -> None:
    with pytest.raises(QueryError, match=r"none of its 1 series, such as \{'instance': '2'\}.*\{'instance': '1'\}"):
        join_rows([{"instance": "1"}], [{"instance": "2"}], "fetch.limit")


rows = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=3)


@given(
    st.lists(rows, min_size=1, max_size=5, unique_by=lambda row: tuple(sorted(row.items()))),
    st.lists(rows, min_size=1, max_size=5, unique_by=lambda row: tuple(sorted(row.items()))),
)
def test_what_is_joined_is_what_comparing_all_pairs_gives(
    series: list[dict[str, str]], others: list[dict[str, str]]
) -> None:
    def candidates(labels: dict[str, str]) -> list[int]:
        same = [index for index, other in enumerate(others) if other == labels]
        return same or [index for index, other in enumerate(others) if other.items() <= labels.items()]

    expected = [candidates(labels) for labels in series]
    try:
        joined = join_rows(series, others, "fetch.limit").tolist()
    except QueryError:
        assert any(len(one) > 1 for one in expected) or not any(expected)
        return
    assert joined == [one[0] if one else -1 for one in expected]
