"""PromQL as text: quoting, counters, and what is no PromQL at all."""

from __future__ import annotations

import re

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsf.errors import ParamsError
from tsf.promql import (
    check_query,
    matchers_text,
    metric_name,
    quote,
    range_selectors,
    raw_selectors,
    selectors,
)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_its_quotes(text: str) -> None:
    selector = promql_parser.parse(f"x{{label={quote(text)}}}")
    assert [matcher.value for matcher in selector.matchers.matchers] == [text]


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,8}", fullmatch=True), st.text(max_size=9), max_size=3))
def test_any_labels_come_back_from_their_matchers(labels: dict[str, str]) -> None:
    selector = promql_parser.parse("x" + matchers_text(labels))
    assert {matcher.name: matcher.value for matcher in selector.matchers.matchers} == labels


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_a_query_or_one_sentence(text: str) -> None:
    try:
        assert check_query(text, "fetch.metric_query") == text
    except ParamsError as fault:
        assert fault.where == "fetch.metric_query"  # noqa: PT017
        assert fault.cure  # noqa: PT017


@pytest.mark.parametrize(
    "query",
    [
        "storage_used_bytes",
        'sum by (group) (storage_used_bytes{cluster=~"a|b"})',
        "rate(node_network_receive_bytes_total[5m])",
        "sum(rate(a_sum[5m])) / sum(rate(a_count[5m]))",
        "histogram_quantile(0.99, sum by (le) (rate(a_bucket[10m])))",
        "max_over_time(rate(a_total[5m])[1h:1m]) - b",
        "increase(sum(a_total)[5m:1m])",
        "count_over_time(a_total[1h])",
        'rate({__name__="a_total"}[5m])',
        "total_used",
        "42",
    ],
)
def test_a_query_of_a_level_or_a_rate_is_fine(query: str) -> None:
    assert check_query(query, "q") == query


@pytest.mark.parametrize(
    ("query", "counter"),
    [
        ("node_network_receive_bytes_total", "node_network_receive_bytes_total"),
        ("sum by (node) (a_total)", "a_total"),
        ("a_seconds_sum / a_seconds_count", "a_seconds_sum"),
        ("rate(a_total[5m]) / b_total", "b_total"),
        ("rate(a_total[5m]) + a_total", "a_total"),
        ("avg_over_time(a_bucket[5m])", "a_bucket"),
        ("deriv(a_total[5m])", "a_total"),
        ('{__name__="a_total"}', "a_total"),
        ("a_total offset 5m", "a_total"),
    ],
)
def test_a_raw_counter_is_refused_with_the_hint(query: str, counter: str) -> None:
    with pytest.raises(ParamsError) as caught:
        check_query(query, "fetch.metric_query")
    assert str(caught.value) == (
        f"fetch.metric_query: '{counter}' looks like a counter read without rate(); write rate({counter}[5m]), "
        "with a range of at least three scrape intervals."
    )


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("used_bytes[5m]", "'used_bytes[5m]' is a range, not one value at a time; write max_over_time(…) or the like"),
        ("((used_bytes[5m] offset 1h))", "is a range, not one value at a time"),
        ("rate(a_total[5m])[1h:5m]", "is a range, not one value at a time"),
        ("('used_bytes')", "is a text; select a metric."),
    ],
)
def test_promql_without_a_value_at_each_moment_is_refused(query: str, words: str) -> None:
    for check in (lambda: check_query(query, "q"), lambda: selectors(query)):
        with pytest.raises(ParamsError, match=re.escape(words)):
            check()


@pytest.mark.parametrize(
    "query",
    [
        "(" * 300 + "up" + ")" * 300,
        "up" + " + up" * 300,
        "up" + " OR up" * 300,
        "-" * 300 + "up",
        "# it's\n" + "(" * 300 + "up" + ")" * 300 + " # isn't it",
    ],
)
def test_a_query_that_would_end_the_process_by_its_depth_is_refused(query: str) -> None:
    with pytest.raises(ParamsError, match="has 300 brackets and operators, more than 200; let a recording rule"):
        selectors(query)


def test_what_stands_in_strings_and_matchers_makes_no_query_deep() -> None:
    query = 'up{path="' + "(" * 300 + '",' + ",".join(f'a{i}!="+"' for i in range(300)) + "}"
    assert len(selectors(query)) == 1


def test_selectors_come_from_left_to_right() -> None:
    query = 'a - rate(b_total[5m]) * on(x) max_over_time(c[1h:5m]) + {y="z"}'
    assert [metric_name(selector) for selector in selectors(query)] == ["a", "b_total", "c", ""]
    assert [metric_name(selector) for selector in raw_selectors(query)] == ["a", "c", ""]
    assert range_selectors(query) == ["b_total[5m]"]
    assert selectors("1 + 2") == []


def test_what_is_no_promql_is_one_sentence() -> None:
    for function in (selectors, raw_selectors, range_selectors):
        with pytest.raises(ParamsError, match=r"limit: 'sum\(' is not PromQL \(.*\); mend the query\."):
            function("sum(", "limit")
