# SPDX-License-Identifier: AGPL-3.0-or-later
"""The rules, one by one, without a service."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.bounds import Interval
from gate.access import (
    ACTS,
    DUTIES,
    EXCLUDES,
    Credential,
    Grant,
    LegalBasis,
    Person,
    alone,
    authorise,
    covered,
    duty,
    may_open,
)
from gate.errors import (
    ActNotPermitted,
    BasisNotOpen,
    DutyRefused,
    GrantUnknown,
    HabilitationLapsed,
    OutsideScope,
    Refused,
)
from gate.messages import Act, Basis, Role

NOW = datetime(2026, 3, 20, 15, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = Interval(NOW - timedelta(hours=2), NOW - timedelta(hours=1))
SECOND = timedelta(seconds=1)


def person(*roles: Role, **changes: object) -> Person:
    held = (
        Credential("habilitation", "H1", NOW - DAY, NOW + DAY),
        Credential("agrement", "A1", NOW - DAY, NOW + DAY),
    )
    return replace(Person("p1", "Anne", frozenset(roles), True, held), **changes)  # type: ignore[arg-type]


def basis(kind: Basis = "requisition", **changes: object) -> LegalBasis:
    made = LegalBasis("r1", kind, "PV 1", "rixe", frozenset({"a", "b"}), (HOUR,), "open", NOW + DAY)
    return replace(made, **changes)  # type: ignore[arg-type]


def ask(
    who: Person,
    what: LegalBasis,
    *,
    acts: frozenset[Act] = frozenset({"rewind"}),
    cameras: frozenset[str] = frozenset({"a"}),
    intervals: tuple[Interval, ...] = (HOUR,),
    purpose: str = "rixe",
    now: datetime = NOW,
) -> Grant:
    return authorise(who, what, purpose, acts=acts, cameras=cameras, intervals=intervals, now=now)


TECHNICIAN = person("technician")


def test_a_technician_under_an_open_requisition() -> None:
    grant = ask(TECHNICIAN, basis(), acts=ACTS["requisition"], cameras=frozenset({"a", "b"}))
    bounds = grant.bounds("search", frozenset(), None, NOW - 30 * DAY)
    assert (bounds.scope, bounds.cameras, bounds.intervals) == ("r1", frozenset({"a", "b"}), (HOUR,))
    part = Interval(HOUR.start + SECOND, HOUR.end)
    assert grant.bounds("rewind", frozenset({"b"}), part, NOW - 30 * DAY).intervals == (part,)


@pytest.mark.parametrize(
    ("who", "error"),
    [
        (person("registrar"), DutyRefused),
        (person("auditor"), DutyRefused),
        (person("administrator", "registrar"), DutyRefused),
        (replace(TECHNICIAN, left=True), DutyRefused),
        (replace(TECHNICIAN, credentials=()), HabilitationLapsed),
        (replace(TECHNICIAN, credentials=TECHNICIAN.credentials[:1]), HabilitationLapsed),
        (replace(TECHNICIAN, credentials=TECHNICIAN.credentials[1:]), HabilitationLapsed),
    ],
)
def test_who_is_refused(who: Person, error: type[Refused]) -> None:
    with pytest.raises(error):
        ask(who, basis())


def test_credentials_hold_from_start_to_end_to_the_instant() -> None:
    assert ask(TECHNICIAN, basis(), now=NOW + DAY - timedelta(microseconds=1))
    with pytest.raises(HabilitationLapsed):
        ask(TECHNICIAN, basis(expires_at=NOW + 9 * DAY), now=NOW + DAY)
    with pytest.raises(HabilitationLapsed):
        ask(TECHNICIAN, basis(), now=NOW - DAY - timedelta(microseconds=1))


def test_an_officer_of_the_police_needs_no_prefects_agrement() -> None:
    assert ask(replace(TECHNICIAN, municipal=False, credentials=TECHNICIAN.credentials[:1]), basis())


@pytest.mark.parametrize("state", ["draft", "closed", "expired"])
def test_only_an_open_basis_counts(state: str) -> None:
    with pytest.raises(BasisNotOpen):
        ask(TECHNICIAN, basis(state=state))


def test_a_basis_ends_at_its_instant() -> None:
    assert ask(TECHNICIAN, basis(expires_at=NOW + SECOND))
    with pytest.raises(BasisNotOpen):
        ask(TECHNICIAN, basis(expires_at=NOW))


@pytest.mark.parametrize("kind", [k for k in ACTS if k != "requisition"])
@pytest.mark.parametrize("act", ["search", "trace", "export"])
def test_narrow_bases_allow_neither_search_nor_trace_nor_export(kind: Basis, act: Act) -> None:
    with pytest.raises(ActNotPermitted):
        ask(TECHNICIAN, basis(kind), acts=frozenset({act}))


def test_the_purpose_is_the_basis_own() -> None:
    with pytest.raises(ActNotPermitted):
        ask(TECHNICIAN, basis(), purpose="curiosité")


@pytest.mark.parametrize("shift", [timedelta(microseconds=-1), SECOND])
def test_one_instant_outside_is_outside(shift: timedelta) -> None:
    moved = Interval(HOUR.start + shift, HOUR.end + shift)
    with pytest.raises(OutsideScope):
        ask(TECHNICIAN, basis(), intervals=(moved,))
    grant = ask(TECHNICIAN, basis())
    with pytest.raises(OutsideScope):
        grant.bounds("rewind", frozenset({"a"}), moved, NOW - 30 * DAY)


def test_one_camera_outside_is_outside() -> None:
    with pytest.raises(OutsideScope):
        ask(TECHNICIAN, basis(), cameras=frozenset({"a", "c"}))
    grant = ask(TECHNICIAN, basis())
    with pytest.raises(OutsideScope):
        grant.bounds("rewind", frozenset({"b"}), HOUR, NOW - 30 * DAY)


def test_a_grant_covers_its_own_acts_only() -> None:
    with pytest.raises(ActNotPermitted):
        ask(TECHNICIAN, basis()).bounds("search", frozenset(), None, NOW)
    with pytest.raises(ActNotPermitted):
        ask(TECHNICIAN, basis(), acts=frozenset())


def test_nothing_else_makes_a_grant() -> None:
    whole = ask(TECHNICIAN, basis())
    with pytest.raises(GrantUnknown):
        Grant(TECHNICIAN, basis(), "rixe", whole.acts, whole.cameras, whole.intervals, whole.expires_at, object())


def test_adjoining_intervals_count_together() -> None:
    first, second = Interval(NOW, NOW + SECOND), Interval(NOW + SECOND, NOW + 2 * SECOND)
    assert covered(Interval(NOW, NOW + 2 * SECOND), (second, first))
    assert not covered(Interval(NOW, NOW + 2 * SECOND), (first, Interval(NOW + 1.5 * SECOND, NOW + 3 * SECOND)))
    assert not covered(Interval(NOW, NOW + SECOND), ())


@pytest.mark.parametrize("what", list(DUTIES))
@pytest.mark.parametrize("role", ["administrator", "registrar", "technician", "auditor"])
def test_duties(what: str, role: Role) -> None:
    allowed = role in DUTIES[what]  # type: ignore[index]
    try:
        duty(person(role), what, NOW)  # type: ignore[arg-type]
    except DutyRefused:
        assert not allowed
    else:
        assert allowed


def test_the_auditor_reads_the_journal_and_sees_nothing() -> None:
    assert all("auditor" not in DUTIES[d] for d in ("operate", "register", "open", "close", "keep_people"))
    assert DUTIES["read_journal"] == {"auditor"}
    assert {frozenset({"administrator", "technician"}), frozenset({"administrator", "auditor"})} <= set(EXCLUDES)


def test_who_opens() -> None:
    assert may_open("x", "y", frozenset({"y"}))
    assert may_open("x", "x", frozenset())
    assert not may_open("x", "x", frozenset({"y"}))


def test_who_opens_alone() -> None:
    registrar = person("registrar")
    assert alone(registrar, frozenset({"p1", "p2"}))
    assert not alone(registrar, frozenset({"p2", ""}))
    assert alone(person("registrar", "technician"), frozenset({"p2"}))
