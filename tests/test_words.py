"""Each sentence that the code says has its Chinese, with the same values in it; there is none that nobody says."""

from __future__ import annotations

import ast
from string import Formatter

import pytest

from tests.test_layers import MODULES
from tsf.chinese import CHINESE
from tsf.flow.progress import WAITING
from tsf.io.source import source_name
from tsf.kinds import SPANS
from tsf.panel.model import KEYS
from tsf.panel.panel import LABELS, SECTIONS
from tsf.params import Params
from tsf.presets import PRESETS
from tsf.words import words_in

TYPES = {key.type for key in KEYS.values()}
UNNAMED = {"text", "PromQL"}  # types that are not shown, or are a name
OTHERWISE = {  # what is said that is no sentence where it is said, and all that it can be
    "LABELS[key]": set(LABELS.values()),
    "SECTIONS[section]": set(SECTIONS.values()),
    "PRESETS[self.preset].reason": {preset.reason for preset in PRESETS.values()},
    "one.description": {key.description for key in KEYS.values()},
    "one.unit or one.type": TYPES | {key.unit for key in KEYS.values()} - {""},
    "key.type": TYPES,
    "unit": set(SPANS),
    "self.waiting": {WAITING},
    "source_name(params)": {source_name(Params())},
}


def said() -> tuple[set[str], set[str]]:
    """The sentences that the code says, and the expressions by which it says others."""
    calls = [node for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    told = [call.args[0] for call in calls if ast.unparse(call.func).split(".")[-1] == "words"]
    sentences = {one.value for one in told if isinstance(one, ast.Constant)}
    return sentences, {ast.unparse(one) for one in told if not isinstance(one, ast.Constant)}


SENTENCES, EXPRESSIONS = said()


def fields(template: str) -> list[tuple[str, str | None, str | None]]:
    return sorted((name, form, kind) for _, name, form, kind in Formatter().parse(template) if name is not None)


def test_every_sentence_has_its_chinese_and_none_is_left_over() -> None:
    assert len(SENTENCES) > 50
    assert set(OTHERWISE) == EXPRESSIONS
    assert set(CHINESE) == SENTENCES.union(*OTHERWISE.values()) - UNNAMED


def test_a_translation_keeps_the_values_of_its_sentence() -> None:
    filled = {english: fields(english) for english in CHINESE}
    assert sum(map(bool, filled.values())) > 20
    assert {english: fields(chinese) for english, chinese in CHINESE.items()} == filled


def test_a_translation_is_chinese() -> None:
    no_words = {"%b-%d", "{stage} ({number} of {stages})", "; ", ", "}
    for english, chinese in CHINESE.items():
        assert english in no_words or any("\u4e00" <= letter <= "\u9fff" for letter in chinese), english
        assert chinese == chinese.strip(), english
        for latin, wide in zip(",;:()", "\uff0c\uff1b\uff1a\uff08\uff09", strict=True):
            assert f"{latin} " not in chinese, f"{chinese}: write {wide}"


@pytest.mark.parametrize("language", ["zh_CN", "zh-CN", "zh", "zh_Hans_CN", "ZH"])
def test_chinese_by_any_of_its_names_is_chinese(language: str) -> None:
    assert words_in(language)("Save") == CHINESE["Save"]
    assert words_in(language)("what nobody says") == "what nobody says"


@pytest.mark.parametrize("language", ["en", "en-GB", "default", "de_DE", "zha", ""])
def test_any_other_language_is_english(language: str) -> None:
    assert words_in(language)("Save") == "Save"
