import codecs
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tsf.errors import ParamsError
from tsf.flow.tasks import add_task, edit_params, left_behind, remove_task, retire_task, set_values, write_params
from tsf.params import parse_params, read_params
from tsf.presets import PRESETS
from tsf.project import TaskPaths

SHIPPED = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")


def loaded(text: str) -> dict:
    return YAML(typ="safe").load(text)


def changed_lines(old: str, new: str) -> tuple[list[str], list[str]]:
    before, after = old.splitlines(), new.splitlines()
    return [line for line in before if line not in after], [line for line in after if line not in before]


def test_an_edit_that_changes_nothing_gives_the_same_bytes() -> None:
    assert edit_params(SHIPPED, {}) == SHIPPED
    assert edit_params(SHIPPED, {"tasks.storage.train.model_type": "lstm"}) == SHIPPED


def test_an_edit_changes_its_line_only_and_keeps_its_comment() -> None:
    gone, came = changed_lines(SHIPPED, edit_params(SHIPPED, {"prometheus.base_url": "http://prometheus.example:9090"}))
    assert len(gone) == len(came) == 1
    assert "http://prometheus.example:9090" in came[0]
    assert "# the embedded simulation" in came[0]


def test_a_key_that_is_not_there_is_added_to_its_section() -> None:
    new = edit_params(SHIPPED, {"tasks.gpu.alert.line": 0.9})
    assert "line" not in loaded(SHIPPED)["tasks"]["gpu"]["alert"]
    assert loaded(new)["tasks"]["gpu"]["alert"] == loaded(SHIPPED)["tasks"]["gpu"]["alert"] | {"line": 0.9}


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("tasks.storage.train.epocs", 3, "tasks.storage.train.epocs"),
        ("tasks.storage.train.epochs", 0, "tasks.storage.train.epochs"),
        ("tasks.storage.fetch.step", "1 hour", "1 hour"),
        ("tasks.storage.fetch.metric_query", "sum(", "sum("),
        ("tasks.storage.train.sequence_length", 5000, "lengthen"),
    ],
)
def test_a_wrong_edit_is_refused_with_its_key_and_the_file_stays(
    tmp_path: Path, key: str, value: object, word: str
) -> None:
    (tmp_path / "params.yaml").write_text(SHIPPED)
    with pytest.raises(ParamsError, match=word.replace("(", r"\(")):
        set_values(tmp_path, {key: value})
    assert (tmp_path / "params.yaml").read_text() == SHIPPED
    assert {path.name for path in tmp_path.iterdir()} <= {"params.yaml", ".tsf"}  # with the lock of those who edit


@given(epochs=st.integers(1, 1000), rate=st.floats(1e-6, 1.0), owner=st.text(max_size=40).filter(str.isprintable))
def test_what_is_set_is_what_is_read(epochs: int, rate: float, owner: str) -> None:
    edits = {"tasks.cpu.train.epochs": epochs, "tasks.cpu.train.learning_rate": rate, "tasks.cpu.owner": owner}
    task = parse_params(loaded(edit_params(SHIPPED, edits))).tasks["cpu"]
    assert (task.train.epochs, task.train.learning_rate, task.owner) == (epochs, rate, owner)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_makes_a_valid_task_with_all_sections(preset: str) -> None:
    new = add_task(SHIPPED, "new_one", preset, "me", {"fetch.metric_query": "some_metric"})
    block = loaded(new)["tasks"]["new_one"]
    assert {"fetch", "train", "evaluate", "push", "alert"} <= set(block)
    assert parse_params(loaded(new)).tasks["new_one"].fetch.metric_query == "some_metric"
    assert new.startswith(SHIPPED.rstrip("\n"))


def test_a_task_added_and_removed_again_leaves_the_file_as_it_was() -> None:
    new = add_task(SHIPPED, "new_one", "storage")
    assert remove_task(new, "new_one") == SHIPPED


def test_the_last_task_can_be_removed_and_another_added() -> None:
    text = SHIPPED
    for name in ("storage", "gpu", "network", "cpu"):
        text = remove_task(text, name)
    assert list(loaded(add_task(text, "only", "storage"))["tasks"]) == ["only"]


@pytest.mark.parametrize("name", ["../etc", "a b", "", "Storage", "a;rm", "x" * 64])
def test_a_task_name_that_is_unsafe_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(ParamsError):
        add_task(SHIPPED, name, "storage")


def test_a_task_that_exists_is_not_overwritten() -> None:
    with pytest.raises(ParamsError, match="exists already"):
        add_task(SHIPPED, "storage", "storage")


def test_a_raw_counter_is_refused_with_the_hint() -> None:
    with pytest.raises(ParamsError, match=r"rate\(requests_total\[5m\]\)"):
        add_task(SHIPPED, "new_one", "custom", values={"fetch.metric_query": "requests_total"})


def test_somebody_elses_edit_in_between_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(SHIPPED)
    old = SHIPPED
    set_values(tmp_path, {"demo.seed": 8})
    with pytest.raises(ParamsError, match="changed while"):
        write_params(tmp_path, edit_params(old, {"demo.groups": 3}), old)
    assert loaded((tmp_path / "params.yaml").read_text())["demo"] == {"seed": 8, "groups": 8, "users_per_group": 6}


def test_a_file_of_comments_alone_can_be_edited() -> None:
    assert "until: '2026-11-01T00:00:00Z'" in edit_params("# nothing yet\n", {"snapshot.until": "2026-11-01T00:00:00Z"})
    assert "home:" in add_task("# nothing yet\n", "home", "custom", values={"fetch.metric_query": "up"})


@pytest.mark.parametrize("name", ["home", "renamed"])  # a task of params.yaml, or one that was
def test_a_retired_task_leaves_no_rule_that_would_miss_its_forecast(tmp_path: Path, name: str) -> None:
    text = add_task("tasks: {}\n", name, "custom", values={"fetch.metric_query": "up"})
    (tmp_path / "params.yaml").write_text(text)
    paths = TaskPaths(tmp_path, "home")
    made = (paths.rules, paths.rule_tests, paths.pushed / "receipt.json", paths.textfile / "home.prom")
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert left_behind(tmp_path) == ([] if name == "home" else ["home"])
    diff = retire_task(tmp_path, "home", made[-1].unlink)
    assert ("-  home:" in diff) == (name == "home")
    assert [path for path in made if path.exists()] == []
    with pytest.raises(ParamsError, match="there is no task 'home'"):
        retire_task(tmp_path, "home", made[-1].unlink)


@pytest.mark.parametrize("text", ["[]", "[1]", "false", "0", "tasks"])
def test_what_holds_no_sections_is_told_and_not_written_over(text: str) -> None:
    with pytest.raises(ParamsError, match=r"^params\.yaml: .* stands where sections should; write sections such as"):
        edit_params(text, {"demo.seed": 3})
    with pytest.raises(ParamsError, match="stands where sections should"):
        add_task(text, "storage", "storage")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("tasks: {}\n")
    (tmp_path / ".tsf").write_text("")  # as root may write in any folder
    with pytest.raises(ParamsError, match=r"\.tsf/params\.lock: it cannot be locked \(.+\); free the disk"):
        set_values(tmp_path, {"snapshot.until": "2026-10-31T00:00:00Z"})


SHARED = """\
tasks:
  a: &a
    fetch: {metric_query: up}
    train: &train
      epochs: 5  # few
  b:
    <<: *a
    push: {}
  c:
    fetch: {metric_query: up}
    train: *train
"""


@pytest.mark.parametrize("task", ["a", "b", "c"])
def test_an_edit_that_an_anchor_would_carry_to_other_tasks_is_refused(task: str) -> None:
    others = ", ".join(sorted({*"abc"} - {task}))
    with pytest.raises(ParamsError, match=f"tasks.{task}.train.epochs: an anchor of YAML gives .* to {others}, which"):
        edit_params(SHARED, {f"tasks.{task}.train.epochs": 7})
    assert changed_lines(SHARED, edit_params(SHARED, {"tasks.b.push.alias": "x"})) == (
        ["    push: {}"],
        ["    push:", "      alias: x"],
    )


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_edit_keeps_byte_order_mark_line_ends_and_a_symbolic_link(tmp_path: Path, mark: bytes, end: bytes) -> None:
    old = mark + SHIPPED.encode().replace(b"\n", end)
    (tmp_path / "shared.yaml").write_bytes(old)
    (tmp_path / "params.yaml").symlink_to("shared.yaml")
    set_values(tmp_path, {"snapshot.until": "2026-11-02T00:00:00Z"})
    assert (tmp_path / "params.yaml").is_symlink()
    assert (tmp_path / "shared.yaml").read_bytes() == old.replace(b"2026-11-01T", b"2026-11-02T")
    assert read_params(tmp_path).snapshot.until == "2026-11-02T00:00:00Z"


def test_lists_that_dvc_has_written_keep_their_place() -> None:
    text = "tasks:\n  a:\n    fetch: {metric_query: up}\n    train:\n      dimensions:\n      - group\n      - user\n"
    gone, came = changed_lines(text, edit_params(text, {"tasks.a.train.epochs": 7}))
    assert (gone, came) == ([], ["      epochs: 7"])
