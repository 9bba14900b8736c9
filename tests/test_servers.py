from __future__ import annotations

import pytest

from tests.servers import OpenMetric, find_server, openmetrics


def test_an_absent_server_skips_here_and_fails_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"no-such-server is neither in PATH nor in .servers"):
        find_server("no-such-server")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-server"):
        find_server("no-such-server")


def test_openmetrics_escapes_what_prometheus_unescapes() -> None:
    text = openmetrics(OpenMetric("x", {"a": 'q"\\\n'}, [1, 2], [float("inf"), 0.5]))
    assert text == 'x{a="q\\"\\\\\\n"} +Inf 1\nx{a="q\\"\\\\\\n"} 0.5 2\n# EOF\n'
