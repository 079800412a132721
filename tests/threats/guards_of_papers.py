# SPDX-License-Identifier: AGPL-3.0-or-later

"""Guards of what is kept and handed over: the journal, exhibits and their verifiers, disks and backups."""

from tests.threats.mutants import Change

JOURNAL = "tests/gate/test_journal.py::"
CHECK = "tests/gate/test_journal_check.py::"
THREATS = "tests/threats/test_threats.py::"
VERIFIERS = "tests/gate/test_exhibits.py::test_verifiers"
_SCRIPT = "gate/verifiers/verifier.sh"
_PAGE = "gate/verifiers/verifier.html"
_KEYS_GO = ("gate.keeper", "                    gate.keys.destroy(day)\n", "                    pass\n")
_ADDED = (
    _PAGE,
    "for (const name of files.keys()) if (!listed.has(name) &&",
    "for (const name of files.keys()) if (false && !listed.has(name) &&",
)

PAPERS: tuple[tuple[Change, str], ...] = (
    (
        Change("entry edited", "gate.journal_check", "if claimed != right:", "if False:"),
        CHECK + "test_tampering",
    ),
    (
        # Each entry has its number and the hash of the one before.
        Change(
            "entries out of order",
            "gate.journal_check",
            "elif own != number + 1:",
            "elif False:",
            also=(("gate.journal_check", "elif prev != before:", "elif False:"),),
        ),
        CHECK + "test_tampering",
    ),
    (
        Change(
            "a year of the journal that must be kept",
            "gate.journal_check",
            "if first > 1 and is_kept(begins := int(volumes[0].stem) - 1, now):",
            "if (begins := 0):",
        ),
        "tests/gate/test_journal_check.py::test_tampering",
    ),
    (
        Change(
            "heads that are missing for long",
            "gate.journal_check",
            "if public_key is not None and count - max(sure, first - 1) > MOST_UNSIGNED:",
            "if False:",
        ),
        CHECK + "test_chained_anew_with_the_signed_heads_taken_away_is_found",
    ),
    (
        Change("journal cut short", "gate.journal_check", "if number > count and not broken:", "if False:"),
        CHECK + "test_tampering",
    ),
    (
        # What an anchor knows and is not there at all is not what the anchor knows either.
        Change(
            "journal rolled back",
            "gate.journal_check",
            "if anchor.count > count:",
            "if False:",
            also=(
                (
                    "gate.journal_check",
                    "elif hashes.get(anchor.count) != anchor.hash:",
                    "elif False:",
                ),
            ),
        ),
        CHECK + "test_a_rollback_shows_by_an_anchor_and_only_by_one",
    ),
    (
        Change(
            "journal chained anew",
            "gate.journal_check",
            "if first <= number <= count and hashes.get(number) != own:",
            "if False:",
        ),
        CHECK + "test_tampering",
    ),
    (
        Change("disk full", "gate.journal", "if written != len(line):", "if False:"),
        JOURNAL + "test_half_written_entry_is_taken_back",
    ),
    (
        Change(
            "no journal, no act",
            "gate.journal",
            'intent = self.append("intent", act, because, details)',
            "intent = Head(0, START)",
        ),
        JOURNAL + "test_no_write_no_act",
    ),
    (
        Change(
            "head of another key", "gate.journal_check", "key.verify(signature, head_message(number, own, at))", "pass"
        ),
        CHECK + "test_tampering",
    ),
    (
        Change("entry torn by a crash", "gate.journal", 'if tail and not tail.endswith(b"\\n"):', "if False:"),
        JOURNAL + "test_torn_tail_of_a_crash_is_cut",
    ),
    (
        Change(
            "full disk at the gate",
            "gate.journal",
            'intent = self.append("intent", act, because, details)',
            "intent = Head(0, START)",
        ),
        THREATS + "test_a_full_disk_stops_every_act",
    ),
    (Change("script: whose key", _SCRIPT, '[ "$found" = "$wanted" ] || no', ": || no"), VERIFIERS),
    (Change("script: signature", _SCRIPT, '|| no "la signature', '|| : "la signature'), VERIFIERS),
    (Change("script: sums", _SCRIPT, "sha256sum --check --strict --quiet SHA256SUMS || no", ": || no"), VERIFIERS),
    (Change("script: files added", _SCRIPT, '[ "$listed" = "$present" ] || no', ": || no"), VERIFIERS),
    (Change("page: whose key", _PAGE, "if (sha256(key.der) !== wanted)", "if (false)"), VERIFIERS),
    (
        Change(
            "page: signature",
            _PAGE,
            'if (!ed25519(key.raw, sums, await files.get("SHA256SUMS.sig").bytes()))',
            "if (false)",
        ),
        VERIFIERS,
    ),
    (Change("page: sums", _PAGE, "else if (await files.get(name).hash() !== sum)", "else if (false)"), VERIFIERS),
    (
        Change(
            "page: files removed",
            _PAGE,
            "if (!files.has(name)) faults.push(`retiré ou renommé : ${name}`);",
            "if (!files.has(name)) continue;",
        ),
        VERIFIERS,
    ),
    (Change("page: files added", *_ADDED), VERIFIERS),
    (
        Change("page in a browser: files added", *_ADDED),
        "tests/browser/test_verifier_page.py::test_every_change_is_named",
    ),
    (
        Change(
            "recordings sealed",
            "connectors.sealing",
            "ciphertext = AESGCM(held[1]).encrypt(seal.nonce, gop.payload, associated_data(gop, seal))",
            "ciphertext = gop.payload",
        ),
        THREATS + "test_a_stolen_disk_without_the_keystore_shows_nothing",
    ),
    (
        Change(
            "secured copies sealed",
            "gate.evidence",
            "ciphertext = AESGCM(data_key).encrypt(seal.nonce, gop.payload, associated_data(gop, seal))",
            "ciphertext = gop.payload",
        ),
        THREATS + "test_a_stolen_disk_without_the_keystore_shows_nothing",
    ),
    (
        Change(
            "pictures sealed",
            "connectors.sealing",
            'return AESGCM(data_key).encrypt(seal.nonce, jpeg, b"view\\x00" + reference.encode()), seal',
            "return jpeg, seal",
        ),
        THREATS + "test_a_stolen_disk_without_the_keystore_shows_nothing",
    ),
    (
        Change("keys out of backups", "gate.keystore", 'if not (folder / "CACHEDIR.TAG").exists():', "if False:"),
        THREATS + "test_backups_that_honour_the_tag_leave_the_keys_out",
    ),
    (
        Change("mode of keys", "gate.secrets", "mode=0o600, durable=True", "mode=0o644, durable=True"),
        THREATS + "test_backups_that_honour_the_tag_leave_the_keys_out",
    ),
    (
        Change(
            "recovery codes in the database",
            "gate.authenticators",
            "sha256=_sha256(code)) for code",
            "sha256=code) for code",
        ),
        THREATS + "test_a_backup_of_the_database_signs_nobody_in",
    ),
    (Change("keys go with their day", *_KEYS_GO), "tests/gate/test_proof.py::test_thirty_one_days_on_nothing_is_left"),
    (
        Change("keys go on the real stack", *_KEYS_GO),
        "tests/gate/test_proof_real.py::test_day_31_leaves_nothing_and_a_restored_backup_goes_again",
    ),
)
