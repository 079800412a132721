# SPDX-License-Identifier: AGPL-3.0-or-later

"""Guards against who asks: for a session, for a grant, in words that are SQL or a path."""

from tests.threats.mutants import Change

MAIN = "tests/gate/test_main_job.py::"
SIGNING_IN = "tests/gate/test_signing_in.py::"
THREATS = "tests/threats/test_threats.py::"
_ID_AS_TEXT = (
    "connectors.clickhouse_reader",
    "{_keys(where, 'id = {id:String}')}",
    "{_keys(where, 'id = ' + chr(39) + passage_id + chr(39))}",
)

PERSONS: tuple[tuple[Change, str], ...] = (
    (
        Change("somebody else's session", "gate.standing", '    .where(_sessions.c.id == bindparam("id"))\n', ""),
        MAIN + "test_nobody_unsigned_gets_anything",
    ),
    (
        Change(
            "a way without a session",
            "gate.session_routes",
            "self._door.live(request)\n        return answered(self.office.cameras())",
            "return answered(self.office.cameras())",
        ),
        MAIN + "test_nobody_unsigned_gets_anything",
    ),
    (
        Change("password", "gate.authenticators", "elif right and self._code_right(", "elif self._code_right("),
        SIGNING_IN + "test_lock_out_codes_used_once_and_recovery",
    ),
    (
        Change("recovery code used twice", "gate.authenticators", "held.used_at = now", "pass"),
        SIGNING_IN + "test_lock_out_codes_used_once_and_recovery",
    ),
    (
        Change(
            "fetch from another site",
            "gate.door",
            'if request.headers.get("sec-fetch-site") == "cross-site":',
            "if False:",
        ),
        SIGNING_IN + "test_other_hosts_and_origins_are_refused",
    ),
    (
        Change("cookie that scripts read", "gate.door", 'path="/", httponly=True, samesite="strict"', 'path="/"'),
        SIGNING_IN + "test_a_browser_signs_in_with_a_cookie_that_scripts_cannot_read",
    ),
    (
        Change(
            "cookie from a page without a name",
            "gate.door",
            'if by_cookie and request.method not in ("GET", "HEAD") and origin is None:',
            "if False:",
        ),
        SIGNING_IN + "test_a_browser_signs_in_with_a_cookie_that_scripts_cannot_read",
    ),
    (
        Change("grant made by hand", "gate.access", "if self.maker is not _MAKER:", "if False:"),
        "tests/gate/test_access.py::test_nothing_else_makes_a_grant",
    ),
    (
        # The grant is withdrawn with the requisition that closes, and the requisition is read again at every use.
        Change(
            "withdrawn grant",
            "gate.grants",
            "if row.withdrawn_at is not None:",
            "if False:",
            also=(("gate.access", 'if basis.state != "open":', "if False:"),),
        ),
        MAIN + "test_closing_ends_everything_at_once",
    ),
    (
        Change("pictures after the end", "gate.rewind", "if gop.last_at < interval.end:", "if True:"),
        "tests/gate/test_edges.py::test_a_group_that_goes_on_after_the_scope_is_cut",
    ),
    (
        Change(
            "words for a camera", "gate.access", "strange = cameras - allowed_cameras", "strange = cameras - cameras"
        ),
        THREATS + "test_paths_and_sql_in_every_field_get_nothing",
    ),
    (
        Change(
            "SQL in what people write",
            "gate.requisitions",
            "RequisitionRow.reference == draft.reference.strip()",
            "__import__('sqlalchemy').text(f\"reference = '{draft.reference.strip()}'\")",
        ),
        THREATS + "test_what_people_write_stays_text",
    ),
    (
        Change("SQL in an id at the gate", *_ID_AS_TEXT),
        "tests/threats/test_threats_engine.py::test_an_id_that_is_sql_finds_nothing",
    ),
    (
        Change("SQL in an id at the store", *_ID_AS_TEXT),
        "tests/contracts/test_store.py::test_no_text_is_ever_sql",
    ),
    (
        Change(
            "path in a row of the store",
            "connectors.archive_views",
            'if not _REFERENCE.match(reference) or ".." in reference:',
            "if False:",
        ),
        THREATS + "test_no_row_of_the_store_makes_the_gate_read_another_file",
    ),
)
