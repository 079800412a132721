-- One vehicle seen by one camera from entry to exit.
-- Partition: erasing a scope or a day drops whole parts. Order: a bounded search reads only its cameras and hours;
-- `id` follows from scope, camera and first detection, so inserting a passage again replaces it (reads say FINAL).
-- Replaced and erased parts leave the disk within seconds; what was taken or merged is on the disk before the old part goes.
-- Ages from capture: the site's retention, and never more than one calendar month.
CREATE TABLE IF NOT EXISTS {{database}}.passages
(
    scope LowCardinality(String),
    camera LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    ended_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    id String CODEC(ZSTD(1)),
    vehicle_class LowCardinality(String),
    class_score Float32 CODEC(ZSTD(1)),
    colours Array(Float32) CODEC(ZSTD(1)),
    entry LowCardinality(String),
    exit LowCardinality(String),
    speed_px_s Float32 CODEC(ZSTD(1)),
    first_box Array(Float32) CODEC(ZSTD(1)),
    last_box Array(Float32) CODEC(ZSTD(1)),
    sightings UInt32 CODEC(T64, ZSTD(1)),
    waited_s Float32 CODEC(ZSTD(1)),
    truncated Bool,
    embedding_model LowCardinality(String),
    embedding Array(BFloat16) CODEC(NONE),
    views String CODEC(ZSTD(1)),
    detector LowCardinality(String),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY (scope, toDate(started_at))
ORDER BY (camera, started_at, id)
TTL least(toDateTime(started_at) + toIntervalDay({{retention_days}}), addMonths(toDateTime(started_at), 1))
SETTINGS ttl_only_drop_parts = 1, merge_with_ttl_timeout = 600, old_parts_lifetime = 1, cleanup_delay_period = 1,
    max_cleanup_delay_period = 2, cleanup_delay_period_random_add = 0, cleanup_thread_preferred_points_per_iteration = 0,
    merge_tree_clear_old_parts_interval_seconds = 1, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, index_granularity = 2048;
