"""What a person reads, in the person's language: English stands where it is said, and is the key of its Chinese."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from tsf.chinese import CHINESE

__all__ = ["Words", "words_in"]

Words: TypeAlias = Callable[[str], str]
"""Puts a text, or a template for `str.format`, from English into the reader's language; `str` leaves it as it is."""


def words_in(language: str) -> Words:
    """How to say things in `language`, such as en, zh_CN or zh-Hans; any other than Chinese is English."""
    return _chinese if re.match(r"zh(\b|_)", language, re.IGNORECASE) else str


def _chinese(text: str) -> str:
    return CHINESE.get(text, text)
