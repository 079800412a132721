# SPDX-License-Identifier: AGPL-3.0-or-later
# ruff: noqa: E501  (lines are quoted whole)
"""Guards between the components: the store's port, the broker's, the keys, the orders, the journal's lock."""

from tests.threats.mutants import Change

STORE = "tests/infra/test_store_server.py::"
USERS = "tests/infra/test_clickhouse_users.py::"
THREATS = "tests/threats/test_threats.py::"
BROKER = "tests/infra/test_kafka_users.py::"
_GUARD = "infra.store_sql_guard"
# Words, tree and the reading connection refuse each for itself: one stands behind the other.
_WORDS_AND_TREE = (
    _GUARD,
    'self._check_words(text, _READER_WORDS if user == "gate" else _KEEPER_WORDS)\n                self._check_tree(text, params, user)',
    "pass",
)
_READONLY = (
    "infra.store_engine",
    'if readonly:\n            self._ask(connection, "SET readonly = 1", "TabSeparated", {})',
    "",
)
_SIGNATURE = ("connectors.orders", "public_key.verify(signature, magic + body)", "pass")

COMPONENTS: tuple[tuple[Change, str], ...] = (
    (
        Change("statements of the store", *_WORDS_AND_TREE, also=(_READONLY,)),
        STORE + "test_refused_to_gate_and_indexer",
    ),
    (Change("what the keeper reads", *_WORDS_AND_TREE), STORE + "test_the_keeper_reads_no_passage"),
    (
        Change(
            "the indexer only inserts",
            *_WORDS_AND_TREE,
            also=(
                (
                    _GUARD,
                    'if user == "indexer":\n            raise Refused("the indexer may only insert into " + ", ".join(TABLES))',
                    "",
                ),
            ),
        ),
        STORE + "test_the_indexer_reads_nothing",
    ),
    (
        Change(
            "shape of an insert",
            _GUARD,
            'if len(tail) != 2 or tail[0].lower() != "format" or tail[1] not in INPUT_FORMATS:',
            "if False:",
        ),
        STORE + "test_an_insert_has_one_shape",
    ),
    (
        Change("settings in the address", "infra.store_protocol", "if key not in _HARMLESS:", "if False:"),
        STORE + "test_nothing_is_set_by_the_url",
    ),
    (
        Change(
            "secret of the store's user",
            "infra.store_protocol",
            "if user == name and secret_fits(self._hashes, name, secret):",
            "if user == name:",
        ),
        STORE + "test_a_wrong_secret",
    ),
    (
        Change(
            "where the store listens",
            "infra.store_server",
            'listening.bind(("127.0.0.1", site.store.port))',
            'listening.bind(("0.0.0.0", site.store.port))',
        ),
        STORE + "test_loopback_only",
    ),
    (
        Change("mode of secrets", "gate.secrets", "mode=0o600, durable=True", "mode=0o644, durable=True"),
        STORE + "test_secrets_are_private_and_kept",
    ),
    (
        Change("the reading connection", *_READONLY),
        "tests/connectors/test_clickhouse.py::test_the_gates_own_connection_changes_nothing_whatever_comes_through_to_it",
    ),
    (
        Change(
            "rights on a server",
            "infra/clickhouse/users.sql",
            "GRANT SELECT ON passages TO gate;",
            "GRANT SELECT, INSERT ON passages TO gate;",
        ),
        USERS + "test_the_gate_selects_and_the_indexer_inserts_and_nothing_else",
    ),
    (
        Change(
            "what the keeper reads on a server",
            "infra/clickhouse/users.sql",
            "GRANT SELECT (started_at) ON passages TO keeper;",
            "GRANT SELECT ON passages TO keeper;",
        ),
        USERS + "test_the_keeper_reads_capture_times_alone",
    ),
    (
        Change(
            "profile on a server",
            "infra/clickhouse/users.sql",
            "    readonly = 1, max_execution_time = 20,",
            "    max_execution_time = 20,",
        ),
        USERS + "test_each_user_has_a_profile_whose_limits_it_cannot_lift",
    ),
    (
        Change(
            "where the broker listens",
            "infra.kafka_broker",
            'return f"127.0.0.1:{self.port}"',
            'return f"0.0.0.0:{self.port}"',
        ),
        "tests/infra/test_kafka_broker.py::test_listens_on_loopback_only",
    ),
    (
        Change(
            "one super user of the broker",
            "infra.kafka_broker",
            """"super.users": f"User:{broker_name('broker')}",""",
            """"super.users": "User:passage-broker;User:passage-capture",""",
        ),
        BROKER + "test_a_component_with_its_own_secret_does_its_work_and_nothing_else",
    ),
    (
        Change(
            "who may lay down rights at the broker",
            "infra.kafka_broker",
            """"super.users": f"User:{broker_name('broker')}",""",
            """"super.users": "User:passage-broker;User:passage-capture",""",
        ),
        BROKER + "test_no_component_gives_itself_rights",
    ),
    (
        Change(
            "what capture may do at the broker",
            "infra.kafka_users",
            '"capture": (Right(topics.FRAMES_LIVE, (*_SEE, _READ, _WRITE)),),',
            '"capture": (Right(topics.FRAMES_LIVE, (*_SEE, _READ, _WRITE)), Right("passages.live", (_READ,))),',
        ),
        BROKER + "test_a_component_with_its_own_secret_does_its_work_and_nothing_else",
    ),
    (
        Change(
            "the live topics' end",
            "infra.kafka_users",
            "Right(topics.passages(LIVE), _CHANGE, denied=True),",
            "",
        ),
        BROKER + "test_a_component_with_its_own_secret_does_its_work_and_nothing_else",
    ),
    (
        Change(
            "rights beyond the list",
            "infra.kafka_users",
            "for _, _, refusal in client.delete_acls(beyond):",
            "for _, _, refusal in ():",
        ),
        BROKER + "test_rights_beyond_the_list_are_taken_away_and_missing_ones_laid_down_again",
    ),
    (
        Change(
            "who speaks to the broker's controller",
            "infra.kafka_broker",
            "CONTROLLER:SASL_PLAINTEXT",
            "CONTROLLER:PLAINTEXT",
            also=(
                (
                    "infra.kafka_broker",
                    """"super.users": f"User:{broker_name('broker')}",""",
                    """"super.users": "User:passage-broker;User:ANONYMOUS",""",
                ),
            ),
        ),
        BROKER + "test_who_has_no_secret_gets_no_session",
    ),
    (
        Change(
            "where the broker's passwords are",
            "infra.kafka_broker",
            'passwords = f"${{file:{settings.secrets / JAAS}:jaas}}"',
            'passwords = (settings.secrets / JAAS).read_text().removeprefix("jaas=").strip()',
        ),
        BROKER + "test_the_broker_writes_its_users_secrets_nowhere_else",
    ),
    (
        Change("who reads the broker's secrets", "gate.secrets", "mode=0o600", "mode=0o644"),
        BROKER + "test_each_secret_is_its_components_alone",
    ),
    (
        Change("video at the broker", "flows.capture", "record = self.sealer.seal(record)", "pass"),
        "tests/flows/test_capture.py::test_sealed_capture_leaves_no_clear_video_in_kafka",
    ),
    (
        Change(
            "pictures at the broker",
            "flows.looking",
            "sampled = [_sealed(frame, gop, seal, data_key) for frame in sampled]",
            "pass",
        ),
        "tests/flows/test_index.py::test_sealed_video_is_opened_and_its_views_are_sealed_again",
    ),
    (
        Change(
            "id of a key",
            "connectors.sealing",
            "encrypt(_ZERO_NONCE, data_key, key_id.encode())",
            "encrypt(_ZERO_NONCE, data_key, None)",
            also=(
                (
                    "connectors.sealing",
                    "decrypt(_ZERO_NONCE, ciphertext, seal.key_id.encode())",
                    "decrypt(_ZERO_NONCE, ciphertext, None)",
                ),
            ),
        ),
        "tests/gate/test_evidence.py::test_a_key_id_is_bound_to_its_key",
    ),
    (
        Change(
            "key of another hour", "connectors.sealing", "if held is None or held[0] != key_id:", "if held is None:"
        ),
        THREATS + "test_a_capture_machine_taken_over_opens_nothing_recorded_before",
    ),
    (Change("forged order at the jobs", *_SIGNATURE), "tests/infra/test_jobs.py::test_a_forged_order_is_not_obeyed"),
    (Change("forged closure at the jobs", *_SIGNATURE), "tests/infra/test_jobs.py::test_a_forged_closure_ends_nothing"),
    (
        Change("forged order at the replay", *_SIGNATURE),
        "tests/flows/test_record_and_replay.py::test_an_order_that_the_gate_did_not_sign_is_not_obeyed",
    ),
    (
        Change("order under another name", "infra.jobs", "if order.id != file.stem:", "if False:"),
        "tests/infra/test_jobs.py::test_a_forged_order_is_not_obeyed",
    ),
    (
        # Between threads either lock would do: the file's is held by its descriptor.
        Change(
            "one writer at a time",
            "gate.journal",
            "with self._lock, self._held():\n            volume, head = self._head()",
            "if True:\n            volume, head = self._head()",
        ),
        THREATS + "test_two_operators_at_once_are_both_bounded_and_both_journalled",
    ),
    (
        Change("one process at a time", "gate.journal", "fcntl.flock(descriptor, fcntl.LOCK_EX)", "pass"),
        "tests/gate/test_journal.py::test_processes_write_one_chain",
    ),
)
