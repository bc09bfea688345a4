//! Every bound and delay of the engine, with its reason.

use std::sync::Arc;
use std::time::Duration;

use crate::retention::RetentionPolicy;

/// How the engine is tuned. The defaults are right for production; tests shorten some.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Most inputs decided in one round. More would lengthen the wait of the first one in it beyond what sharing an fsync
    /// saves: at 256 the fsync is a small part of the round.
    pub batch_inputs_max: usize,
    /// Most bytes of inputs in one round, so that a round of large outputs does not become one huge record.
    pub batch_bytes_max: usize,
    /// Requests waiting for the loop. When it is full the reading from NATS waits, and callers see latency, not loss.
    pub requests_waiting_max: usize,
    /// Sagas being read from the view at once because a request names one that is not in memory.
    pub loads_max: usize,
    /// Commands being sent at once by one partition; hides the round trip of the acknowledgement.
    pub dispatches_in_flight_max: usize,
    /// Questions to other partitions under way at once by one partition: enough to hide the round trip and the commit over there.
    pub errands_in_flight_max: usize,
    /// How long an errand is tried before its saga is asked whether it still wants it.
    pub errand_patience: Duration,
    /// First wait before NATS is tried again.
    pub dispatch_retry_min: Duration,
    /// Longest wait before NATS is tried again; short, because a step's timeout runs meanwhile.
    pub dispatch_retry_max: Duration,
    /// First wait before the database is tried again.
    pub store_retry_min: Duration,
    /// Longest wait before the database is tried again.
    pub store_retry_max: Duration,
    /// How often changed sagas are written into the view. Lists are at most twice as old, unless writing takes long; the longer, the
    /// more sagas are finished by then and written only once.
    pub projection_interval: Duration,
    /// How many times as long as the last batch took nothing is written into the view: with much in motion, what a row costs goes to the
    /// sagas' own steps first.
    pub projection_rest: u32,
    /// The longest such rest.
    pub projection_rest_max: Duration,
    /// Most sagas written into the view in one transaction.
    pub projection_sagas_max: usize,
    /// Changed sagas not yet in the view beyond which the loop takes no requests until the projector has caught up.
    pub projection_backlog_max: usize,
    /// How long a saga's changes are published after somebody asked.
    pub watch: Duration,
    /// Most sagas of one partition watched at once; each change of one costs a view.
    pub watches_max: usize,
    /// Changes waiting to be published; further ones are left out, for a watcher reads the saga again anyway.
    pub changes_waiting_max: usize,
    /// Most facts on a page of a history.
    pub history_facts_max: usize,
    /// What is past keeping; nothing is ever let go when absent.
    pub retention: Option<Arc<RetentionPolicy>>,
    /// Most records taken out of the journal at once.
    pub retention_records_max: usize,
    /// Bytes of records beyond which no further one is taken out at once: together with what is moved they fit into one transaction.
    pub retention_bytes_max: usize,
    /// Sagas beyond which no further record is taken out at once: each is looked up.
    pub retention_sagas_max: usize,
    /// Between two steps of letting go while there is more: work that nobody waits for leaves room for work that somebody does.
    pub retention_pause: Duration,
    /// Between two looks for what is past keeping when there was nothing.
    pub retention_interval: Duration,
    /// Longest sleep of the loop, so that a clock that jumps is noticed.
    pub timer_check_max: Duration,
    /// How long no command of a limited contract is sent after a partition was taken over: a process that starts has its partitions one by
    /// one, within the life of a lease, and each must count what it has in flight before others send more.
    pub gates_settle: Duration,
    /// Partitions taken over at once by one process: more would take as long together, and hold more in memory meanwhile.
    pub takeovers_at_once: usize,
    /// How often a lease is extended: three tries within its life.
    pub lease_renewal: Duration,
    /// How often a lease that somebody else holds is asked for.
    pub lease_poll: Duration,
    /// Wait before a partition that stopped on an error is tried again.
    pub failure_pause: Duration,
    /// How long stopping may take: the last round, what is being published, the last projection.
    pub shutdown_patience: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        let lease = amends_schemas::topology::LEASE_TTL;
        Self {
            batch_inputs_max: 256,
            batch_bytes_max: 4 * 1024 * 1024,
            requests_waiting_max: 1024,
            loads_max: 256,
            dispatches_in_flight_max: 1024,
            errands_in_flight_max: 256,
            errand_patience: Duration::from_secs(10),
            dispatch_retry_min: Duration::from_millis(50),
            dispatch_retry_max: Duration::from_secs(1),
            store_retry_min: Duration::from_millis(20),
            store_retry_max: Duration::from_secs(1),
            projection_interval: Duration::from_millis(250),
            projection_rest: 3,
            projection_rest_max: Duration::from_secs(3),
            projection_sagas_max: 2_000,
            projection_backlog_max: 50_000,
            watch: Duration::from_secs(amends_schemas::subjects::WATCH_SECONDS),
            watches_max: 10_000,
            changes_waiting_max: 1024,
            history_facts_max: amends_schemas::limits::HISTORY_PAGE_MAX,
            retention: None,
            retention_records_max: 256,
            retention_bytes_max: 8 * 1024 * 1024,
            retention_sagas_max: 2_000,
            retention_pause: Duration::from_secs(1),
            retention_interval: Duration::from_secs(60),
            timer_check_max: Duration::from_secs(1),
            gates_settle: lease + Duration::from_secs(1),
            takeovers_at_once: 2,
            lease_renewal: lease / 3,
            lease_poll: lease / 8,
            failure_pause: Duration::from_secs(3),
            shutdown_patience: Duration::from_secs(5),
        }
    }
}
