# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each of the store's users may say: an allow-list in two layers, before the engine's own.

1. The text is cut into tokens of a small, strict grammar (ASCII, no comments, no escapes, no `;`), and every word must
   be in the user's closed vocabulary. `file`, `url`, `system`, `INTO`, `SETTINGS`, `SET` are not forbidden
   words: they are words that nobody was given.
2. The engine itself parses the text (`EXPLAIN AST`), and every node must be of a known kind, every table one of the
   store's, every function one that was given, every source of rows a table or a subquery.

The engine then runs a reader's statement on a connection in `readonly = 1` whose limits it cannot lift.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

User = Literal["indexer", "gate", "keeper"]
USERS: Final[tuple[User, ...]] = ("indexer", "gate", "keeper")
TABLES: Final = ("passages", "tracks", "coverage", "vehicle_links")
MIGRATIONS: Final = "migrations"

HANDSHAKE: Final[Mapping[str, str]] = {
    "SELECT version(), timezone()": "SELECT version(), timezone()",
    # A client asks this to learn which settings it may send. It may send none, so it is shown none.
    "SELECT name, value, readonly FROM system.settings LIMIT 10000": (
        "SELECT name, value, toUInt8(1) AS readonly FROM system.settings WHERE name = 'readonly'"
    ),
    "SELECT 1 AS check": "SELECT 1 AS check",
    "SELECT 1": "SELECT 1",
}
"""What a client says before it works, and what is run for it; matched whole."""

OUTPUT_FORMATS: Final = frozenset({"Native", "TabSeparated", "JSON", "ArrowStream"})
INPUT_FORMATS: Final = frozenset({"Native", "Arrow", "ArrowStream"})


_KNOWN_LIMIT: Final = 1000


class Refused(Exception):
    """A statement that this user may not run; says which part."""


@dataclass(frozen=True)
class Read:
    """A statement that gives rows."""

    sql: str
    format: str


@dataclass(frozen=True)
class Insert:
    """Rows that follow in a columnar format."""

    table: str
    columns: tuple[str, ...]
    format: str


@dataclass(frozen=True)
class Change:
    """A statement of the keeper that gives no rows."""

    sql: str


@dataclass(frozen=True)
class Trust:
    """The keeper's word on the clock: resume ageing, or hold it."""

    trusted: bool


_TOKEN: Final = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
  | (?P<param>\{[a-z][a-z0-9_]{0,40}:[A-Za-z0-9_(), ']{1,60}\})
  | (?P<number>\d{1,19}(?:\.\d{1,19})?(?![A-Za-z_\d.]))
  | (?P<word>[A-Za-z_][A-Za-z0-9_]{0,63})
  | (?P<quoted>`[A-Za-z0-9_-]{1,64}`)
  | (?P<string>'[^'\\\x00-\x1f\x7f]{0,200}')
  | (?P<sign>->|!=|<>|<=|>=|\|\||-(?!-)|[()\[\],.=<>+*])
    """,
    re.VERBOSE | re.ASCII,
)
_FORMAT: Final = re.compile(r"\s+FORMAT\s+([A-Za-z]+)\s*\Z", re.ASCII)
_TYPES: Final = frozenset("String DateTime64 Date Array Tuple UInt8 UInt16 UInt32 UInt64 Int64 Float32 Float64".split())

_QUERY_WORDS: Final = frozenset(
    "select as from final where prewhere and or not in between is null order by asc desc limit offset group having"
    " distinct with left inner any join on using union all true false case when then else end interval".split()
)
_FUNCTIONS: Final = frozenset(
    # The right-hand ones are the parser's own names for operators.
    "count min max sum avg uniqExact any argMax length arraySum arrayMap arrayExists arrayElement array tuple"
    " tupleElement has indexOf toFloat32 toFloat64 toUInt8 toUInt32 toInt64 toDate toStartOfHour"
    " toUnixTimestamp64Micro greatest least"
    " if abs round dotProduct cosineDistance startsWith _CAST lambda"
    " equals notEquals less greater lessOrEquals greaterOrEquals and or not in notIn plus minus multiply negate isNull"
    " isNotNull concat".split()
)
_COLUMNS: Final = frozenset(
    "scope camera started_at ended_at id vehicle_class class_score colours entry exit speed_px_s first_box last_box"
    " sightings waited_s truncated embedding_model embedding views detector passage_id t_us x1 y1 x2 y2 score status"
    " reason frames"
    " frames_decoded vehicle_id probability model decided_at".split()
)
_ALIASES: Final = frozenset("p l t c v x i n match found newest oldest vector".split())
_READER_WORDS: Final = _QUERY_WORDS | frozenset(f.lower() for f in _FUNCTIONS) | _COLUMNS | _ALIASES | frozenset(TABLES)

_PART_COLUMNS: Final = frozenset(
    "database table name active _state partition partition_id rows min_time max_time min_date delete_ttl_info_max"
    " bytes_on_disk"
    " is_done mutation_id parts_to_do reason create_table_query engine_full".split()
)
_SYSTEM_TABLES: Final = ("parts", "detached_parts", "mutations", "tables")
_KEEPER_WORDS: Final = (
    _QUERY_WORDS
    | frozenset("cast string date applied_at".split())
    | frozenset(f.lower() for f in _FUNCTIONS)
    | _PART_COLUMNS
    | frozenset(("system", MIGRATIONS, *_SYSTEM_TABLES))
    | _ALIASES
)
_KEEPER_FUNCTIONS: Final = _FUNCTIONS | {"CAST"}

_NODES: Final = frozenset(
    "SelectWithUnionQuery SelectQuery ExpressionList Function Identifier TableIdentifier TablesInSelectQuery"
    " TablesInSelectQueryElement TableExpression TableJoin Literal Asterisk Subquery OrderByElement WithElement"
    " QueryParameter".split()
)


class SqlGuard:
    """Reads a statement of one user and says what may be run, or refuses.

    Args:
        database: the only database there is, besides `system` for the keeper.
        explain: gives the engine's `EXPLAIN AST` of a text with its parameters; raises what the engine raises.
    """

    def __init__(self, database: str, explain: Callable[[str, Mapping[str, str]], str]) -> None:
        self._database = database
        self._explain = explain
        # A parameter is a value of a plain type and cannot change what a text does: a text is parsed once.
        self._known: set[tuple[User, str]] = set()

    def read_statement(self, user: User, text: str, params: Mapping[str, str]) -> Read | Change | Trust:
        """A statement without rows behind it. Raises Refused."""
        text, output = _split_format(text.strip())
        handshake = HANDSHAKE.get(" ".join(text.split()))
        if handshake is not None:
            return Read(handshake, output)
        if user == "indexer":
            raise Refused("the indexer may only insert into " + ", ".join(TABLES))
        words = _tokens(text)
        first = words[0].lower() if words else ""
        if first in ("select", "with"):
            if (user, text) not in self._known:
                self._check_words(text, _READER_WORDS if user == "gate" else _KEEPER_WORDS)
                self._check_tree(text, params, user)
                if len(self._known) < _KNOWN_LIMIT:
                    self._known.add((user, text))
            return Read(text, output)
        if user == "keeper":
            return self._keeper_change(text)
        raise Refused(f"the gate may only SELECT, and this begins with {first[:20]!r}")

    def read_insert(self, user: User, text: str) -> Insert:
        """The head of an insert whose rows follow. Raises Refused."""
        if user != "indexer":
            raise Refused(f"{user} may not insert")
        words = _tokens(text.strip())
        lowered = [w.lower() for w in words]
        if lowered[:2] != ["insert", "into"]:
            raise Refused("the indexer may only INSERT INTO a table of the store")
        rest = words[2:]
        if len(rest) > 2 and rest[1] == "." and _bare(rest[0]) == self._database:
            rest = rest[2:]
        table = _bare(rest[0]) if rest else ""
        if table not in TABLES:
            raise Refused(f"there is no table {table!r} to insert into; there are {', '.join(TABLES)}")
        if "(" not in rest or rest[1] != "(" or ")" not in rest:
            raise Refused("an insert names its columns")
        close = rest.index(")")
        inside = rest[2:close]
        columns = tuple(_bare(w) for w in inside[::2])
        if any(w != "," for w in inside[1::2]) or not columns or len(inside) % 2 == 0:
            raise Refused("the list of columns is not a list of names")
        unknown = sorted(set(columns) - _COLUMNS)
        if unknown or len(set(columns)) != len(columns):
            raise Refused(f"columns unknown or doubled: {', '.join(unknown) or 'doubled'}")
        tail = rest[close + 1 :]
        if len(tail) != 2 or tail[0].lower() != "format" or tail[1] not in INPUT_FORMATS:
            raise Refused(f"an insert ends with FORMAT and one of {', '.join(sorted(INPUT_FORMATS))}")
        return Insert(table, columns, tail[1])

    def _check_words(self, text: str, vocabulary: frozenset[str]) -> None:
        for word in _tokens(text):
            name = _bare(word)
            if (word[0].isalpha() or word[0] in "_`") and name.lower() not in vocabulary and name != self._database:
                raise Refused(f"the word {name[:40]!r} is not one that this user may say")

    def _check_tree(self, text: str, params: Mapping[str, str], user: User) -> None:
        """Every node known, every table given, every function given, no table function."""
        tables = {*TABLES, *(f"{self._database}.{t}" for t in TABLES)}
        functions = _FUNCTIONS
        if user == "keeper":
            tables = {f"{self._database}.{MIGRATIONS}", MIGRATIONS, *(f"system.{t}" for t in _SYSTEM_TABLES)}
            functions = _KEEPER_FUNCTIONS
        source_of_rows = -1
        for line in self._explain(text, params).splitlines():
            depth = len(line) - len(line.lstrip(" "))
            kind, _, rest = line.strip().partition(" ")
            if kind not in _NODES:
                raise Refused(f"a {kind[:40]} is not allowed here")
            name = rest.split(" (", 1)[0].strip().replace("`", "")
            if kind == "TableIdentifier" and name not in tables:
                raise Refused(f"the table {name[:60]!r} is not one that this user may read")
            if kind == "Function" and name not in functions:
                raise Refused(f"the function {name[:60]!r} is not one that this user may call")
            if depth == source_of_rows + 1 and source_of_rows >= 0 and kind not in ("TableIdentifier", "Subquery"):
                raise Refused("rows may come from a table or a subquery, nothing else")
            source_of_rows = depth if kind == "TableExpression" else -1
        # A text of more than one statement would have shown a second root; the grammar has no `;` to separate them.

    def _keeper_change(self, text: str) -> Change | Trust:
        flat = " ".join(_tokens(text))
        quoted = re.escape(self._database)
        table = rf"(?:`?{quoted}`? \. )?`?(?:{'|'.join(TABLES)})`?"
        for shape in _CHANGES:
            if re.fullmatch(shape.replace("TABLE_NAME", table), flat, re.ASCII):
                return Change(text)
        ageing = re.fullmatch(rf"SYSTEM (START|STOP) TTL MERGES {table}", flat, re.ASCII)
        if ageing:
            return Trust(ageing[1] == "START")
        raise Refused(
            "the keeper may drop a partition, delete by age, change the time to live, hold ageing, start merges"
        )


_PARAM: Final = r"\{[a-z][a-z0-9_]*:(?:String|DateTime64\(6, 'UTC'\)|UInt8)\}"
_CHANGES: Final = (
    r"ALTER TABLE TABLE_NAME DROP PARTITION ID '[0-9a-zA-Z_-]+'",
    r"ALTER TABLE TABLE_NAME DROP DETACHED PARTITION ID '[0-9a-zA-Z_-]+'",
    rf"ALTER TABLE TABLE_NAME DELETE IN PARTITION ID '[0-9a-zA-Z_-]+' WHERE started_at < {_PARAM}",
    r"ALTER TABLE TABLE_NAME MODIFY TTL"
    r" least \( toDateTime \( started_at \) \+ toIntervalDay \( (?:[1-9]|[12]\d|30) \) ,"
    r" addMonths \( toDateTime \( started_at \) , 1 \) \)",
    r"SYSTEM START MERGES TABLE_NAME",
)
"""The keeper's statements by shape, tokens joined by one space."""


def _split_format(text: str) -> tuple[str, str]:
    found = _FORMAT.search(text)
    if found is None:
        return text, "TabSeparated"
    if found[1] not in OUTPUT_FORMATS:
        raise Refused(f"answers come as {', '.join(sorted(OUTPUT_FORMATS))}, not as {found[1]!r}")
    return text[: found.start()].rstrip(), found[1]


def _tokens(text: str) -> list[str]:
    """Cut a text into tokens. Raises Refused at the first character that is not part of the grammar."""
    tokens: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Refused(f"cannot be read from here: {text[at : at + 20]!r}")
        if found.lastgroup == "param":
            for word in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", found[0].split(":", 1)[1].replace("'UTC'", "")):
                if word not in _TYPES:
                    raise Refused(f"a parameter cannot be of type {word!r}")
        if found.lastgroup != "space":
            tokens.append(found[0])
        at = found.end()
    return tokens


def _bare(word: str) -> str:
    return word.strip("`")
