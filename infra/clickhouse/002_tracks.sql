-- The path of one passage in the picture. Times are microseconds since `started_at`, boxes eighths of a pixel of the
-- recorded picture, scores thousandths: differences of neighbours are small whole numbers, which is what the codecs squeeze.
CREATE TABLE IF NOT EXISTS {{database}}.tracks
(
    scope LowCardinality(String),
    camera LowCardinality(String),
    started_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    ended_at DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    passage_id String CODEC(ZSTD(1)),
    t_us Array(Int64) CODEC(DoubleDelta, ZSTD(1)),
    x1 Array(Int32) CODEC(Delta(4), ZSTD(1)),
    y1 Array(Int32) CODEC(Delta(4), ZSTD(1)),
    x2 Array(Int32) CODEC(Delta(4), ZSTD(1)),
    y2 Array(Int32) CODEC(Delta(4), ZSTD(1)),
    score Array(UInt16) CODEC(Delta(2), ZSTD(1)),
    INDEX by_passage passage_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY (scope, toDate(started_at))
ORDER BY (camera, started_at, passage_id)
TTL least(toDateTime(started_at) + toIntervalDay({{retention_days}}), addMonths(toDateTime(started_at), 1))
SETTINGS ttl_only_drop_parts = 1, merge_with_ttl_timeout = 600, old_parts_lifetime = 1, cleanup_delay_period = 1,
    max_cleanup_delay_period = 2, cleanup_delay_period_random_add = 0, cleanup_thread_preferred_points_per_iteration = 0,
    merge_tree_clear_old_parts_interval_seconds = 1, fsync_after_insert = 1, fsync_part_directory = 1,
    min_rows_to_fsync_after_merge = 1, index_granularity = 1024;
