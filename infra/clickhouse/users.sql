-- The three users of the store on a ClickHouse server, run once by its administrator before the first migration:
--
--   python -m infra.store_server --site site.toml --init          makes the secrets, prints their hashes
--   clickhouse-client --query "CREATE DATABASE IF NOT EXISTS passage"
--   clickhouse-client --multiquery --database=passage \
--     --param_indexer=HASH --param_gate=HASH --param_keeper=HASH < infra/clickhouse/users.sql
--   python -m infra.store_server --site site.toml --migrate
--
-- Grants are on the current database (a GRANT takes no parameter for it). HASH is the SHA-256 that `--init` prints,
-- and secrets/store/users.json holds, for each user: no secret is typed or stored here. Run it again after `--init` has
-- made new secrets. The server must not log queries longer than the retention (docs/store.md).

CREATE SETTINGS PROFILE OR REPLACE passage_gate SETTINGS
    readonly = 1, max_execution_time = 20, max_memory_usage = 3000000000, max_result_bytes = 512000000,
    do_not_merge_across_partitions_select_final = 1, log_queries = 0;
CREATE SETTINGS PROFILE OR REPLACE passage_indexer SETTINGS
    max_execution_time = 60 READONLY, max_memory_usage = 2000000000 READONLY, max_partitions_per_insert_block = 0 READONLY,
    async_insert = 0 READONLY, log_queries = 0 READONLY;
CREATE SETTINGS PROFILE OR REPLACE passage_keeper SETTINGS
    max_execution_time = 300 READONLY, mutations_sync = 2 READONLY, alter_sync = 2 READONLY, log_queries = 0 READONLY;

CREATE USER IF NOT EXISTS indexer;
CREATE USER IF NOT EXISTS gate;
CREATE USER IF NOT EXISTS keeper;
ALTER USER indexer IDENTIFIED WITH sha256_hash BY {indexer:String} SETTINGS PROFILE 'passage_indexer';
ALTER USER gate IDENTIFIED WITH sha256_hash BY {gate:String} SETTINGS PROFILE 'passage_gate';
ALTER USER keeper IDENTIFIED WITH sha256_hash BY {keeper:String} SETTINGS PROFILE 'passage_keeper';

REVOKE ALL ON *.* FROM indexer, gate, keeper;

-- The indexer writes and reads nothing back.
GRANT INSERT ON passages TO indexer;
GRANT INSERT ON tracks TO indexer;
GRANT INSERT ON coverage TO indexer;
GRANT INSERT ON vehicle_links TO indexer;

-- The gate reads four tables and changes nothing.
GRANT SELECT ON passages TO gate;
GRANT SELECT ON tracks TO gate;
GRANT SELECT ON coverage TO gate;
GRANT SELECT ON vehicle_links TO gate;

-- The keeper makes tables, drops and rewrites parts, and sees names and times of parts; of the passages it may read the
-- capture time alone, which deleting by age needs.
GRANT CREATE TABLE ON * TO keeper;
GRANT ALTER DELETE, ALTER TTL, ALTER SETTINGS ON * TO keeper;
GRANT SYSTEM MERGES, SYSTEM TTL MERGES ON * TO keeper;
GRANT SELECT (started_at) ON passages TO keeper;
GRANT SELECT (started_at) ON tracks TO keeper;
GRANT SELECT (started_at) ON coverage TO keeper;
GRANT SELECT (started_at) ON vehicle_links TO keeper;
GRANT SELECT, INSERT ON migrations TO keeper;
GRANT SELECT ON system.parts TO keeper;
GRANT SELECT ON system.tables TO keeper;
-- Parts are shown of tables that one may see; of the server's own logs only their age, not a line.
GRANT SHOW TABLES ON system.* TO keeper;
