# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: E501  (lines of the gate are quoted whole)
"""Shows once that every guard is needed: each is removed in turn, and the test of its threat must then fail.

    python tests/threats/guards.py            # the guards of docs/threats.md
    python tests/threats/guards.py --planted  # bugs in the rules, found by the property test

Writes `build/bench/guards.json` or `build/bench/planted.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.threats.guards_of_components import COMPONENTS
from tests.threats.guards_of_papers import PAPERS
from tests.threats.guards_of_persons import PERSONS
from tests.threats.mutants import ROOT, Change, Copy
from tests.threats.planted import PLANTED, PROPERTY

MAIN = "tests/gate/test_main_job.py::"
SIGNING_IN = "tests/gate/test_signing_in.py::"
OPENING = "tests/gate/test_opening.py::"
EVIDENCE = "tests/gate/test_evidence.py::"
EXHIBITS = "tests/gate/test_exhibits.py::"
TICKETS = "tests/gate/test_exhibit_tickets.py::"
AUTHENTICATORS = "tests/gate/test_authenticators.py::"
VIEWING = "tests/gate/test_viewing_copies.py::"
PROOF = "tests/gate/test_proof.py::"
CLOCK = "tests/gate/test_rules_clock.py::"
THREATS = "tests/threats/test_threats.py::"

GUARDS: tuple[tuple[Change, str], ...] = (
    (
        Change("ended session", "gate.sessions", "row is None or row.ended_at is not None", "row is None"),
        SIGNING_IN + "test_signing_out_and_replaying_the_token",
    ),
    (
        Change("idle lock", "gate.sessions", "if now - row.seen_at >= self._idle:", "if False:"),
        SIGNING_IN + "test_idle_sessions_lock_and_playing_keeps_them_open",
    ),
    (
        Change("code replayed", "gate.authenticators", "count > row.totp_step and ", ""),
        SIGNING_IN + "test_lock_out_codes_used_once_and_recovery",
    ),
    (
        Change("lock-out", "gate.authenticators", "if row.failures >= FAILURES:", "if False:"),
        SIGNING_IN + "test_lock_out_codes_used_once_and_recovery",
    ),
    (
        Change(
            "choosing a password ends sessions",
            "gate.authenticators",
            "_at=self._clock()))\n            self._end_sessions(s, row)",
            "_at=self._clock()))",
        ),
        AUTHENTICATORS + "test_an_issued_password_is_reminded_of_until_it_is_ones_own",
    ),
    (
        Change(
            "an issued password is told",
            "gate.authenticators",
            "s.execute(delete(RenewalRow).where(RenewalRow.person == row.id))",
            "pass",
        ),
        AUTHENTICATORS + "test_whoever_lost_everything_is_issued_anew",
    ),
    (
        Change(
            "page of another site", "gate.door", "if origin is not None and origin not in self.origins:", "if False:"
        ),
        SIGNING_IN + "test_other_hosts_and_origins_are_refused",
    ),
    (
        Change("name of another host", "gate.door", "if host not in self._hosts:", "if False:"),
        SIGNING_IN + "test_other_hosts_and_origins_are_refused",
    ),
    (
        Change("strangers unseen", "gate.door", "            await run_in_threadpool(self._note, kind, why)\n", ""),
        "tests/gate/test_door.py::test_strange_senders_are_journalled_once_a_minute_each",
    ),
    (
        Change(
            "strangers fill the journal",
            "gate.door",
            "if last is not None and abs(now - last) < NOTE_EVERY:",
            "if False:",
        ),
        "tests/gate/test_door.py::test_strange_senders_are_journalled_once_a_minute_each",
    ),
    (
        Change("rules read again in mid-act", "gate.grants", "            self.still(permit)\n", ""),
        MAIN + "test_habilitation_that_lapses_in_mid_act",
    ),
    (
        Change("rules read again before an answer leaves", "gate.acts", "self._gate.grants.still(permit)", "pass"),
        "tests/gate/test_late_closure.py::test_a_closure_while_the_outcome_is_written_stops_the_answer",
    ),
    (
        Change(
            "clips in memory past their date",
            "gate.acts",
            'if kind == "video" and self._may_be_held(permit) else None',
            'if kind == "video" else None',
        ),
        "tests/gate/test_late_closure.py::test_a_clip_in_memory_is_not_shown_past_its_date_and_saving_does_not_keep_it",
    ),
    (
        Change("closure in mid-act", "gate.grants", "            self.still(permit)\n", ""),
        MAIN + "test_playing_stops_at_the_chunk_after_closure",
    ),
    (
        Change(
            "habilitation",
            "gate.access",
            'if allowed <= NEEDS_HABILITATION and not person.holds("habilitation", now):',
            "if False:",
        ),
        MAIN + "test_habilitation_that_lapses_in_mid_act",
    ),
    (
        # The footage of a camera outside the bounds is not read either, whoever made them.
        Change(
            "one camera too many",
            "gate.access",
            "strange = cameras - allowed_cameras",
            "strange = cameras - cameras",
            also=(
                (
                    "gate.footage",
                    "if camera not in bounds.cameras:\n            return\n",
                    "if False:\n            return\n",
                ),
            ),
        ),
        MAIN + "test_one_camera_or_one_second_outside_gets_nothing",
    ),
    (
        Change("one second too many", "gate.access", "if not covered(interval, allowed_intervals):", "if False:"),
        MAIN + "test_one_camera_or_one_second_outside_gets_nothing",
    ),
    (
        Change("pictures at the edge", "gate.rewind", "if not interval.holds(gop.first_at):", "if False:"),
        "tests/gate/test_edges.py::test_a_group_that_began_before_the_scope_is_left_out",
    ),
    (
        Change("borrowed grant", "gate.grants", "if row is None or row.session != session:", "if row is None:"),
        MAIN + "test_grants_are_worth_nothing_to_others",
    ),
    (
        Change(
            "id of another requisition",
            "gate.search",
            "store.passage(permit.bounds, passage_id)",
            "next((r for r in (store.passage(type(b)(x, b.cameras, b.intervals, b.not_before), passage_id) for b in [permit.bounds] for x in ('live', b.scope)) if r), None)",
        ),
        MAIN + "test_passages_of_another_scope_are_as_absent_as_none",
    ),
    (
        Change("closed requisition", "gate.access", 'if basis.state != "open":', "if False:"),
        "tests/gate/test_access.py::test_only_an_open_basis_counts",
    ),
    (
        Change(
            "two persons",
            "gate.requisitions",
            "if not may_open(by.id, row.registered_by, others_on_duty):",
            "if False:",
        ),
        OPENING + "test_who_registers_does_not_open_while_another_is_on_duty",
    ),
    (
        Change("attached and opened alone", "gate.requisitions", 'attached.attached_by if attached else ""', '""'),
        OPENING + "test_whoever_attached_the_paper_and_opens_is_marked",
    ),
    (
        Change("widened alone", "gate.requisitions", "row.review_due = True", "row.review_due = row.review_due"),
        OPENING + "test_every_widening_is_marked_until_reviewed",
    ),
    (
        Change(
            "indexer's scope",
            "gate.access",
            "if camera not in basis.cameras or not any(hour.meet(i) for i in reaching):",
            "if False:",
        ),
        EVIDENCE + "test_the_indexer_gets_the_keys_of_open_requisitions_only",
    ),
    (
        Change(
            "indexer's token",
            "gate.service",
            "if not hmac.compare_digest(secret_hash(token), self._indexer):",
            "if False:",
        ),
        EVIDENCE + "test_the_indexer_gets_the_keys_of_open_requisitions_only",
    ),
    (
        Change(
            "destroyed key comes back",
            "gate.keystore",
            "        if self.destroyed(name):\n            return False\n",
            "",
        ),
        EVIDENCE + "test_keys_destroyed_stay_destroyed",
    ),
    (
        Change("clock jumped", "gate.clock", "if abs(drift) > JUMP:", "if False:"),
        PROOF + "test_a_jump_of_the_clock_destroys_nothing",
    ),
    (
        Change(
            "clock set back",
            "gate.clock",
            "return now if trusted is None or now > trusted else trusted",
            "return now",
        ),
        PROOF + "test_a_clock_set_back_shows_nothing_more",
    ),
    (
        Change("rules by a clock set back", "gate.gate", "return self.clock_guard.latest()", "return self.clock()"),
        CLOCK + "test_a_clock_set_back_revives_nothing",
    ),
    (
        Change(
            "nothing lapses meanwhile",
            "gate.clock",
            "return at + timedelta(seconds=self._monotonic() - ticks) if self.suspect else at",
            "return at",
        ),
        CLOCK + "test_things_lapse_while_the_clock_is_set_back",
    ),
    (
        Change("jump ahead trusted", "gate.clock", "(now > latest and not suspect)", "now > latest"),
        CLOCK + "test_a_clock_set_ahead_and_corrected_locks_nobody_out",
    ),
    (
        Change("withdrawn comes back", "gate.access", "return not self.withdrawn and self", "return self"),
        CLOCK + "test_a_withdrawn_habilitation_stays_withdrawn_when_the_clock_is_put_right",
    ),
    (
        Change("past its date", "gate.footage", "if e[1].first_at >= bounds.not_before", "if True"),
        PROOF + "test_reads_end_at_the_limit_to_the_second",
    ),
    (
        Change(
            "export outside",
            "gate.exhibits",
            'gate.grants.permit(live, grant, "export", [clip.camera], clip.interval)',
            "pass",
        ),
        EXHIBITS + "test_export_is_refused_outside_the_grant",
    ),
    (
        Change("export after closure", "gate.exhibits", "                    gate.grants.still(permit)\n", ""),
        EXHIBITS + "test_what_breaks_off_is_unsigned_and_journalled",
    ),
    (
        Change(
            "borrowed package",
            "gate.exhibit_tickets",
            "ticket is None or ticket.session != live.id or ticket.plan.grant != grant",
            "ticket is None",
        ),
        TICKETS + "test_a_ticket_is_of_one_session",
    ),
    (
        Change(
            "package after closure",
            "gate.exhibits",
            'permit = self._gate.grants.permit(live, plan.grant, "export")',
            "permit = plan.permit",
            # The rules are read again while it is made as well.
            also=(
                ("gate.exhibits", "                    gate.grants.still(permit)\n", ""),
                ("gate.exhibits", "clip.camera, still)", "clip.camera)"),
                ("gate.exhibits", "gate.grants.still(permit)\n            self._register", "self._register"),
            ),
        ),
        TICKETS + "test_a_ticket_dies_with_its_requisition",
    ),
    (
        Change("mask", "gate.exhibit_viewing", "picture = masked(picture, boxes_at(kept, at))", "pass"),
        VIEWING + "test_outside_the_chosen_vehicle_nothing_can_be_told",
    ),
    (
        Change(
            "secrets in the database",
            "gate.authenticators",
            'row.totp, row.totp_step = self._vault.seal(secret.encode(), f"totp {row.id}"), 0',
            "row.totp, row.totp_step = secret.encode(), 0",
            also=(("gate.authenticators", 'self._vault.open(row.totp, f"totp {row.id}")', "row.totp"),),
        ),
        THREATS + "test_a_backup_of_the_database_signs_nobody_in",
    ),
    (
        Change(
            "tokens in the database",
            "gate.sessions",
            "return hashlib.sha256(token.encode()).hexdigest()",
            "return token",
        ),
        THREATS + "test_a_backup_of_the_database_signs_nobody_in",
    ),
    (
        Change("names of files", "gate.keystore", "if not (_DAY.match(name) or _EXHIBIT.match(name)):", "if False:"),
        EVIDENCE + "test_keys_destroyed_stay_destroyed",
    ),
    *PERSONS,
    *COMPONENTS,
    *PAPERS,
)
"""What is taken away, and the test that then fails. `docs/threats.md` names each of these tests."""


def said(text: str) -> str:
    """Where the test failed, and with what words."""
    lines = text.splitlines()
    words = next((line[1:].strip() for line in lines if line.startswith("E ")), "")
    place = next((line.partition("/tree/")[2] for line in lines if line.startswith("/") and "/tree/" in line), "")
    return f"{':'.join(place.split(':')[:2])} {words[:120]}".strip()


def main() -> int:
    """Remove, test, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planted", action="store_true", help="bugs in the rules against the property test")
    parser.add_argument("--cases", type=int, default=5000, help="cases the property test may use for each bug")
    parser.add_argument("--only", default="", help="only those whose name holds one of these words, by commas")
    options = parser.parse_args()
    os.environ["PASSAGE_PROPERTY_CASES"] = str(options.cases)
    wanted = [(c, PROPERTY) for c in PLANTED] if options.planted else list(GUARDS)
    shown: dict[str, bool] = {}
    begun = time.time()
    with Copy() as copy:
        for change, test in wanted:
            if not any(word in change.name for word in options.only.split(",")):
                continue
            started = time.time()
            status, text = copy.run(change, [test])
            # What stops a test before it has begun shows nothing.
            shown[change.name] = status == 1 and f"FAILED {test}" in text
            verdict = "shown" if shown[change.name] else "NOT SHOWN"
            print(f"{verdict:9}  {change.name:40}  {change.module:28}  {time.time() - started:5.0f} s", flush=True)
            print("           " + said(text) if shown[change.name] else text, flush=True)
    name = "planted" if options.planted else "guards"
    out = ROOT / "build" / "bench" / f"{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    missing = {n for n, good in shown.items() if not good}
    tried = len(shown)
    if options.only and out.exists():
        # The others stand as they were last found.
        missing |= set(json.loads(out.read_text())[f"{name}_missing"]) - shown.keys()
        tried = len(wanted)
    answer = {f"{name}_tried": tried, f"{name}_shown": tried - len(missing), f"{name}_missing": sorted(missing)}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    out.write_text(json.dumps({**answer, "seconds": round(time.time() - begun), "date": date}, indent=1) + "\n")
    print(json.dumps(answer))
    return 0 if all(shown.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
