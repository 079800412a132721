# SPDX-License-Identifier: AGPL-3.0-or-later
"""What people sign in with: issued by the administrator, then chosen by themselves."""

from __future__ import annotations

import httpx
import pyotp
import pytest

from gate.client import GateClient
from gate.errors import DutyRefused, Invalid, NotFound, SignedOut, SignInRefused
from gate.messages import PersonMade
from tests.gate.town import PASSWORD, Town

OWN = "un mot de passe à moi"


@pytest.fixture
def issued(town: Town) -> tuple[Town, PersonMade, GateClient]:
    """Somebody who was given an account by the administrator, and a client that nobody has signed in with."""
    made = town.client("admin").make_person("lea", "Léa Roy", ("auditor",), PASSWORD)
    town.secrets["lea"] = pyotp.parse_uri(made.totp_uri).secret
    return town, made, GateClient(town.url, http=town.http())


def _warned(client: GateClient) -> bool:
    return any("choose your own" in warning for warning in client.whoami().warnings)


def test_an_issued_password_is_reminded_of_until_it_is_ones_own(issued: tuple[Town, PersonMade, GateClient]) -> None:
    town, _, lea = issued
    lea.sign_in("lea", PASSWORD, town.code("lea"))
    assert _warned(lea)
    town.clock.turn(seconds=31)
    assert lea.renew("lea", PASSWORD, town.code("lea"), OWN).totp_uri == ""
    with pytest.raises(SignedOut):
        lea.whoami()
    town.clock.turn(seconds=31)
    with pytest.raises(SignInRefused):
        lea.sign_in("lea", PASSWORD, town.code("lea"))
    lea.sign_in("lea", OWN, town.code("lea"))
    assert not _warned(lea)


def test_another_authenticator_ends_the_old_one_and_its_recovery_codes(
    issued: tuple[Town, PersonMade, GateClient],
) -> None:
    town, made, lea = issued
    renewed = lea.renew("lea", PASSWORD, made.recovery_codes[0], OWN, new_authenticator=True)
    assert len(set(renewed.recovery_codes) - set(made.recovery_codes)) == 8
    for old in (town.code("lea"), made.recovery_codes[1]):
        with pytest.raises(SignInRefused):
            lea.sign_in("lea", OWN, old)
    town.secrets["lea"] = pyotp.parse_uri(renewed.totp_uri).secret
    lea.sign_in("lea", OWN, town.code("lea"))
    town.clock.turn(seconds=31)
    lea.sign_in("lea", OWN, renewed.recovery_codes[3])


def test_renewal_needs_what_signing_in_needs(issued: tuple[Town, PersonMade, GateClient]) -> None:
    town, _, lea = issued
    for password, code in (("wrong wrong wrong", town.code("lea")), (PASSWORD, "000000")):
        with pytest.raises(SignInRefused):
            lea.renew("lea", password, code, OWN)
    refusals = [e for e in town.gate.journal.entries() if e["phase"] == "refusal" and e["act"] == "renew"]
    assert [e["details"]["login"] for e in refusals] == ["lea", "lea"]
    for new in ("short", PASSWORD):
        with pytest.raises(Invalid):
            lea.renew("lea", PASSWORD, town.code("lea"), new)
    # Nothing was spent on a new password that is none: the code still works.
    lea.renew("lea", PASSWORD, town.code("lea"), OWN)
    done = [e for e in town.gate.journal.entries() if e["act"] == "renew" and e["phase"] == "outcome"]
    assert len(done) == 1 and done[0]["person"] == "Léa Roy"
    assert OWN not in repr(list(town.gate.journal.entries()))


def test_wrong_renewals_lock_the_account_as_wrong_sign_ins_do(issued: tuple[Town, PersonMade, GateClient]) -> None:
    town, _, lea = issued
    for _ in range(5):
        with pytest.raises(SignInRefused):
            lea.renew("lea", "wrong wrong wrong", "000000", OWN)
    with pytest.raises(SignInRefused):
        lea.sign_in("lea", PASSWORD, town.code("lea"))
    town.clock.turn(minutes=16)
    lea.sign_in("lea", PASSWORD, town.code("lea"))


def test_a_lock_of_a_clock_set_ahead_ends_when_the_clock_is_put_right(
    issued: tuple[Town, PersonMade, GateClient],
) -> None:
    town, _, lea = issued
    right = town.clock.at
    town.clock.turn(days=400)
    for _ in range(5):
        with pytest.raises(SignInRefused):
            lea.sign_in("lea", "wrong wrong wrong", "000000")
    town.clock.at = right
    lea.sign_in("lea", PASSWORD, town.code("lea"))


def test_whoever_lost_everything_is_issued_anew(issued: tuple[Town, PersonMade, GateClient]) -> None:
    town, made, lea = issued
    lea.renew("lea", PASSWORD, made.recovery_codes[0], OWN)
    lea.sign_in("lea", OWN, town.code("lea"))
    admin = town.client("admin")
    with pytest.raises(Invalid, match="12 characters"):
        admin.reissue(made.person.id, "short")
    again = admin.reissue(made.person.id, PASSWORD)
    with pytest.raises(SignedOut):
        lea.whoami()
    with pytest.raises(SignInRefused):
        lea.sign_in("lea", OWN, made.recovery_codes[1])
    lea.sign_in("lea", PASSWORD, again.recovery_codes[0])
    assert _warned(lea)
    for who in ("tech", "greffe", "audit"):
        with pytest.raises(DutyRefused):
            town.client(who).reissue(made.person.id, PASSWORD)
    admin.leave(made.person.id)
    with pytest.raises(NotFound):
        admin.reissue(made.person.id, PASSWORD)
    assert {e["phase"] for e in town.gate.journal.entries() if e["act"] == "people.reissue"} >= {"intent", "outcome"}


def test_the_first_administrator_chose_their_own(town: Town) -> None:
    assert not _warned(town.client("admin"))


def _send(http: httpx.Client, town: Town, **changed: str) -> httpx.Response:
    form = {"login": "lea", "password": PASSWORD, "code": town.code("lea"), "new": OWN, "again": OWN} | changed
    return http.post("/own-password", data=form, headers={"Origin": town.url})


def test_the_page_says_what_was_wrong_and_shows_a_new_authenticator_once(
    issued: tuple[Town, PersonMade, GateClient],
) -> None:
    town, _, lea = issued
    http = town.http()
    page = http.get("/own-password", params={"next": "http://127.0.0.1:18501/"})
    assert page.status_code == 200 and 'name="new"' in page.text and "18501" in page.text
    assert "evil" not in http.get("/own-password", params={"next": "http://evil.example/"}).text
    assert "diffèrent" in _send(http, town, again="autre chose encore").text
    assert "trop court" in _send(http, town, new="court", again="court").text
    assert _send(http, town, password="faux mot de passe").status_code == 401
    done = _send(http, town, authenticator="1")
    assert done.status_code == 200 and "<svg" in done.text and "otpauth://totp/Passage" in done.text
    assert "script" not in done.text and "default-src 'none'" in done.headers["Content-Security-Policy"]
    town.clock.turn(minutes=1)
    with pytest.raises(SignInRefused):
        lea.sign_in("lea", OWN, town.code("lea"))


def test_another_sites_page_changes_no_password(issued: tuple[Town, PersonMade, GateClient]) -> None:
    town, _, lea = issued
    form = {"login": "lea", "password": PASSWORD, "code": town.code("lea"), "new": OWN, "again": OWN}
    assert town.http().post("/own-password", data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    lea.sign_in("lea", PASSWORD, town.code("lea"))
