-- Which vehicle made a passage; the word with the newest `decided_at` wins, so old and new runs may arrive in any order.
CREATE TABLE IF NOT EXISTS {{database}}.vehicle_links
(
    scope LowCardinality(String),
    passage_id String CODEC(ZSTD(1)),
    vehicle_id String CODEC(ZSTD(1)),
    started_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    probability Float32 CODEC(ZSTD(1)),
    model LowCardinality(String),
    decided_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    INDEX by_vehicle vehicle_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(decided_at)
PARTITION BY (scope, toDate(started_at))
ORDER BY passage_id
TTL least(toDateTime(started_at) + toIntervalDay({{retention_days}}), addMonths(toDateTime(started_at), 1))
SETTINGS ttl_only_drop_parts = 1, merge_with_ttl_timeout = 600, old_parts_lifetime = 1, cleanup_delay_period = 1,
    max_cleanup_delay_period = 2, cleanup_delay_period_random_add = 0, cleanup_thread_preferred_points_per_iteration = 0,
    merge_tree_clear_old_parts_interval_seconds = 1, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1;
