# SPDX-License-Identifier: AGPL-3.0-or-later
"""Signing in and out: cookies, other origins, idle screens, lock-out, and whose accounts people are."""

import pytest

from gate.client import GateClient
from gate.errors import (
    Conflict,
    DutyRefused,
    Invalid,
    OriginRefused,
    SignedOut,
    SignInRefused,
)
from tests.gate.town import PASSWORD, Town, span


def test_a_browser_signs_in_with_a_cookie_that_scripts_cannot_read(town: Town) -> None:
    http = town.http()
    town.clock.turn(seconds=31)
    form = {
        "login": "tech",
        "password": PASSWORD,
        "code": town.code("tech"),
        "next": "http://127.0.0.1:18501/",
    }
    answer = http.post("/sign-in", data=form, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "http://127.0.0.1:18501/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert http.get("/whoami").status_code == 200
    assert http.delete("/session").status_code == 403  # no origin
    assert http.delete("/session", headers={"Origin": "http://evil.example"}).status_code == 403
    assert http.delete("/session", headers={"Origin": "http://127.0.0.1:18501"}).status_code == 200
    assert http.get("/whoami").status_code == 401
    bad = http.post("/sign-in", data={**form, "next": "http://evil.example/"}, follow_redirects=False)
    assert bad.status_code == 401 and "evil" not in bad.text


def test_other_hosts_and_origins_are_refused(town: Town) -> None:
    client = town.client("tech")
    http = town.http()
    headers = {"Authorization": f"Bearer {client.token}"}
    for extra in ({"Host": "rebound.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = http.get("/cameras", headers={**headers, **extra})
        assert answer.status_code == OriginRefused.status and answer.json()["code"] == OriginRefused.code


def test_idle_sessions_lock_and_playing_keeps_them_open(case: tuple[Town, str, GateClient, str]) -> None:
    town, _, tech, grant = case
    for _ in range(4):
        town.clock.turn(minutes=10)
        tech.rewind(grant, "mairie", span(12, 20))
    town.clock.turn(minutes=15)
    with pytest.raises(SignedOut, match="without activity"):
        tech.whoami()
    last = town.journal()[-1]
    assert (last["phase"], last["act"]) == ("refusal", "session") and "without activity" in last["details"]["why"]


def test_signing_out_and_replaying_the_token(town: Town) -> None:
    client = town.client("tech")
    token = client.token
    client.sign_out()
    client.token = token
    with pytest.raises(SignedOut):
        client.whoami()
    last = town.journal()[-1]
    assert (last["phase"], last["act"]) == ("refusal", "session") and "ended" in last["details"]["why"]


def test_lock_out_codes_used_once_and_recovery(town: Town) -> None:
    client = GateClient("http://testserver", http=town.http())
    town.clock.turn(seconds=31)
    code = town.code("tech")
    client.sign_in("tech", PASSWORD, code)
    with pytest.raises(SignInRefused):
        client.sign_in("tech", PASSWORD, code)
    client.sign_in("tech", PASSWORD, town.recovery["tech"][0])
    with pytest.raises(SignInRefused):
        client.sign_in("tech", PASSWORD, town.recovery["tech"][0])
    words = set()
    town.clock.turn(seconds=31)
    with pytest.raises(SignInRefused) as refused:
        client.sign_in("tech", "wrong password!", town.code("tech"))
    words.add(str(refused.value))
    for login in ("tech", "nobody"):
        for _ in range(5):
            with pytest.raises(SignInRefused) as refused:
                client.sign_in(login, "wrong password!", "000000")
            words.add(str(refused.value))
    town.clock.turn(minutes=1)
    with pytest.raises(SignInRefused):
        client.sign_in("tech", PASSWORD, town.code("tech"))
    assert len(words) == 1
    refusals = [e["details"]["login"] for e in town.journal() if (e["phase"], e["act"]) == ("refusal", "sign_in")]
    assert (refusals.count("tech"), refusals.count("nobody")) == (9, 5)
    town.clock.turn(minutes=16)
    client.sign_in("tech", PASSWORD, town.code("tech"))


def test_people_are_the_administrators(town: Town) -> None:
    admin = town.client("admin")
    made = admin.make_person("lea", "Léa Roy", ("technician",), PASSWORD)
    assert made.totp_uri.startswith("otpauth://totp/Passage") and len(made.recovery_codes) == 8
    with pytest.raises(Invalid, match="exclude"):
        admin.set_roles(made.person.id, ("administrator", "technician"))
    with pytest.raises(Conflict):
        admin.make_person("lea", "Autre", ("technician",), PASSWORD)
    with pytest.raises(Conflict, match="only administrator"):
        admin.leave(town.people["admin"])
    for call in (admin.requisitions, admin.journal):
        with pytest.raises(DutyRefused):
            call()
    with pytest.raises(DutyRefused):
        town.client("tech").make_person("x.y", "X", ("technician",), PASSWORD)
    tech = town.client("tech")
    admin.leave(town.people["tech"])
    with pytest.raises(SignedOut):
        tech.whoami()
