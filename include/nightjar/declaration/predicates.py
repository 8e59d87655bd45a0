"""Find the columns that a Spark SQL predicate reads, without Spark. Standard library only."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<comment>--[^\n]*|/\*.*?\*/)
    |`(?P<quoted>(?:[^`]|``)+)`
    |(?P<number>\d[\w.]*(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign>->|::|[^\s\w])
    |(?P<space>\s+)""",
    re.VERBOSE | re.DOTALL,
)
_TEXT = """
all and any as asc at between both by case cast collate count current_date current_time current_timestamp
current_user day days div desc distinct else end escape except exists extract false filter first following for
from hour hours ilike in interval is last leading like minute minutes month months not null nulls on or order
over overlay partition placing position preceding range regexp rlike row rows second seconds session_user
similar some substring then to trailing trim true try_cast unbounded unknown user using week weeks when where
with within year years zone array bigint binary boolean byte char date dec decimal double float int integer long
map numeric real short smallint string struct time timestamp timestamp_ltz timestamp_ntz tinyint varchar variant
"""
_WORDS = frozenset(_TEXT.split())
"""Words of Spark expressions that are not column names by themselves."""


def columns_read(predicate: str) -> set[str]:
    """Return the columns that a predicate reads, in lower case, as Spark ignores case.

    String literals, comments, numbers, functions, keywords, types, struct fields and lambda parameters do not count. A
    column named like a keyword (``day``) counts only in backticks.

    Raises:
        ValueError: for an unclosed quote or bracket, or an empty predicate.
    """
    tokens = _tokens(predicate)
    _check_brackets([text for _, text in tokens])
    if not tokens:
        raise ValueError("it is empty")
    parameters = _parameters([text for _, text in tokens])
    columns = set()
    for position, (kind, text) in enumerate(tokens):
        previous = tokens[position - 1][1] if position else ""
        following = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        if kind not in {"quoted", "word"} or previous in {".", "::"}:
            continue
        name = text.lower()
        if kind == "quoted" or not (following == "(" or name in _WORDS or name in parameters):
            columns.add(name)
    return columns


def _tokens(predicate: str) -> list[tuple[str, str]]:
    """Return kind and text of each token, without spaces and comments."""
    tokens, position = [], 0
    while position < len(predicate):
        match = _TOKEN.match(predicate, position)
        if match is None or (match.lastgroup == "sign" and match["sign"] in "'\"`"):
            raise ValueError(f"a quote is not closed: {predicate[position : position + 20]}")
        position = match.end()
        kind = str(match.lastgroup)
        if kind not in {"space", "comment"}:
            tokens.append((kind, match[kind]))
    return tokens


def _check_brackets(tokens: list[str]) -> None:
    """Raise ValueError unless brackets are balanced."""
    closing, opened = {")": "(", "]": "["}, []
    for token in tokens:
        if token in closing.values():
            opened.append(token)
        elif token in closing and (not opened or opened.pop() != closing[token]):
            raise ValueError(f"a {token} closes nothing")
    if opened:
        raise ValueError(f"a {opened[-1]} is not closed")


def _parameters(tokens: list[str]) -> set[str]:
    """Return the parameter names of lambdas: ``x -> …`` or ``(x, y) -> …``."""
    names = set()
    for position, sign in enumerate(tokens):
        if sign != "->":
            continue
        start = position - 1
        if tokens[start] == ")":
            while start and tokens[start] != "(":
                start -= 1
        names |= {name.lower() for name in tokens[start:position] if name.isidentifier()}
    return names
