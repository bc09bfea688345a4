//! Bounds that hold at every door, each with its reason.

/// Largest saga input, in bytes of JSON. NATS carries 1 MiB by default; a command holds the input plus outputs of
/// earlier steps, so a quarter leaves room for both.
pub const SAGA_INPUT_BYTES_MAX: usize = 256 * 1024;

/// Largest output of one step, in bytes of JSON. Larger documents belong into the context's own store, by reference.
pub const STEP_OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Largest message on the wire, in bytes; nats-server's own default.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Most steps in one definition: keeps a saga's record small and a trace readable on one screen.
pub const STEPS_MAX: usize = 100;

/// How far ahead a saga may be started, in days: ten years. Later is a mistake in the year, and kept in memory all the while.
pub const START_AHEAD_DAYS_MAX: i64 = 3_653;

/// Facts on a page of a history when the caller names no limit, and at most.
pub const HISTORY_PAGE_MAX: usize = 1_000;

/// Most bytes of facts on a page of a history: half of what a message holds. One fact alone is within it.
pub const HISTORY_PAGE_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 2;

/// Most tags on one saga.
pub const TAGS_MAX: usize = 16;

/// Longest tag or name, in bytes: they become subject tokens and index keys.
pub const NAME_BYTES_MAX: usize = 64;

/// Longest free text that a person gives as a reason, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// Operators' acts that a saga remembers by their ids, so that a repeat is known as one; older ones are forgotten. Far more than people
/// do to one saga, few enough to keep its record small.
pub const OPERATIONS_REMEMBERED_MAX: usize = 100;

/// Parked sagas of a partition that are named one by one; enough to see which release wrote them.
pub const PARKED_SHOWN_MAX: usize = 5;

/// Items on a page of a list when the caller names no limit.
pub const PAGE_DEFAULT: usize = 50;

/// Most items on a page of a list.
pub const PAGE_MAX: usize = 200;

/// Longest text of an error that is stored or sent; longer ones are cut.
pub const ERROR_TEXT_BYTES_MAX: usize = 2048;

/// Most schedules of a deployment: one process looks after all of them every second.
pub const SCHEDULES_MAX: usize = 1_000;

/// Longest cron expression, in bytes: room for every minute of an hour, one by one.
pub const CRON_BYTES_MAX: usize = 256;

/// Most missed times of a schedule that are caught up: enough for a few days of an hourly one, too few to flood the workers after a long
/// downtime of one that runs every second.
pub const SCHEDULE_CATCH_UP_MAX: usize = 100;

/// Acts that a schedule keeps for the record; older ones are forgotten.
pub const SCHEDULE_ACTS_MAX: usize = 100;
