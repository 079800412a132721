# SPDX-License-Identifier: AGPL-3.0-or-later
"""Reads values out of a TOML table and notes every problem instead of stopping at the first."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Point = tuple[float, float]


class TableReader:
    """One TOML table. Each getter takes a key; `done` reports the keys nobody asked for.

    Problems are appended to the shared list `problems`; a getter that finds one returns its default
    (or a harmless value), so that reading goes on and everything is reported at once.
    """

    def __init__(self, table: Any, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = problems
        self._asked: set[str] = set()
        if isinstance(table, Mapping):
            self._table: Mapping[str, Any] = table
        else:
            self._table = {}
            self.problem(f"must be a table, is {table!r}")

    def problem(self, text: str) -> None:
        """Notes a problem of this table."""
        self.problems.append(f"{self.where}: {text}" if self.where else text)

    def has(self, key: str) -> bool:
        """Whether the key is there."""
        self._asked.add(key)
        return key in self._table

    def _get(self, key: str, default: Any, needed: bool) -> Any:
        self._asked.add(key)
        if key in self._table:
            return self._table[key]
        if needed:
            self.problem(f"`{key}` is missing")
        return default

    def text(self, key: str, default: str | None = None, among: Collection[str] | None = None) -> str:
        """A non-empty string, one of `among` where given; needed when there is no default."""
        value = self._get(key, default, default is None)
        if value is None:
            return ""
        if not isinstance(value, str) or (not value and value != default):
            self.problem(f"`{key}` must be a text, is {value!r}")
            return default or ""
        if among is not None and value not in among:
            near = difflib.get_close_matches(value, list(among), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            self.problem(f"`{key}` is {value!r}, must be one of {', '.join(sorted(among))}{hint}")
            return default or sorted(among)[0]
        return value

    def number(
        self,
        key: str,
        default: float | None = None,
        low: float = -math.inf,
        high: float = math.inf,
        unit: str = "",
    ) -> float:
        """A finite number between `low` and `high`, both included."""
        value = self._get(key, default, default is None)
        fallback = default if default is not None else max(low, min(high, 1.0))
        if value is None:
            return fallback
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.problem(f"`{key}` must be a number, is {value!r}")
            return fallback
        if not low <= value <= high:
            self.problem(f"`{key}` is {value:g}{unit}, must lie between {low:g} and {high:g}{unit}")
            return fallback
        return float(value)

    def whole(self, key: str, default: int | None = None, low: int = 0, high: int = 2**31 - 1) -> int:
        """A whole number between `low` and `high`, both included."""
        value = self._get(key, default, default is None)
        fallback = default if default is not None else low
        if value is None:
            return fallback
        if isinstance(value, bool) or not isinstance(value, int):
            self.problem(f"`{key}` must be a whole number, is {value!r}")
            return fallback
        if not low <= value <= high:
            self.problem(f"`{key}` is {value}, must lie between {low} and {high}")
            return fallback
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false."""
        value = self._get(key, default, False)
        if not isinstance(value, bool):
            self.problem(f"`{key}` must be true or false, is {value!r}")
            return default
        return value

    def point(self, key: str, default: Point | None = None) -> Point:
        """A pair of numbers, metres east and north."""
        value = self._get(key, default, default is None)
        if value is None:
            return default or (0.0, 0.0)
        good = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
        if not good or not all(isinstance(v, int | float) and math.isfinite(v) for v in value):
            self.problem(f"`{key}` must be a pair of numbers [x, y] in metres, is {value!r}")
            return default or (0.0, 0.0)
        return (float(value[0]), float(value[1]))

    def points(self, key: str) -> tuple[Point, ...]:
        """A list of pairs of numbers; empty when absent."""
        value = self._get(key, (), False)
        if not isinstance(value, Sequence) or isinstance(value, str):
            self.problem(f"`{key}` must be a list of pairs [x, y], is {value!r}")
            return ()
        found = []
        for item in value:
            pair = TableReader({"p": item}, f"{self.where}: {key}", self.problems)
            found.append(pair.point("p"))
        return tuple(found)

    def texts(self, key: str, default: Sequence[str] | None = None) -> tuple[str, ...]:
        """A list of strings; needed when there is no default."""
        value = self._get(key, default, default is None)
        if value is None:
            return ()
        if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(v, str) for v in value):
            self.problem(f"`{key}` must be a list of texts, is {value!r}")
            return ()
        return tuple(value)

    def numbers(self, key: str, default: Sequence[float], count: int, low: float = 0.0) -> tuple[float, ...]:
        """A list of exactly `count` numbers, none below `low`."""
        value = self._get(key, default, False)
        good = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == count
        if not good or not all(isinstance(v, int | float) and v >= low for v in value):
            self.problem(f"`{key}` must be a list of {count} numbers from {low:g} up, is {value!r}")
            return tuple(default)
        return tuple(float(v) for v in value)

    def shares(self, key: str, default: Mapping[str, float], among: Collection[str]) -> dict[str, float]:
        """A table name → weight; unknown names, negative weights and an all-zero table are problems."""
        value = self._get(key, default, False)
        if not isinstance(value, Mapping):
            self.problem(f"`{key}` must be a table of weights, is {value!r}")
            return dict(default)
        found: dict[str, float] = {}
        for name, weight in value.items():
            if name not in among:
                near = difflib.get_close_matches(name, list(among), 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self.problem(f"`{key}` has the unknown name {name!r}{hint}")
            elif isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                self.problem(f"`{key}.{name}` must be a weight from 0 up, is {weight!r}")
            else:
                found[name] = float(weight)
        if sum(found.values()) <= 0:
            self.problem(f"`{key}` gives nothing any weight")
            return dict(default)
        return found

    def tables(self, key: str) -> list[Any]:
        """An array of tables; empty when absent."""
        value = self._get(key, [], False)
        if not isinstance(value, list):
            self.problem(f"`{key}` must be written as [[{key}]] tables, is {value!r}")
            return []
        return value

    def table(self, key: str) -> TableReader:
        """A sub-table; an absent one reads as empty."""
        value = self._get(key, {}, False)
        return TableReader(value, f"{self.where + ': ' if self.where else ''}[{key}]", self.problems)

    def done(self) -> None:
        """Reports keys that nobody asked for."""
        for key in self._table:
            if key not in self._asked:
                near = difflib.get_close_matches(key, list(self._asked), 1)
                hint = f"; did you mean `{near[0]}`?" if near else ""
                self.problem(f"unknown key `{key}`{hint}")
