//! What every call of a context shares.

use std::sync::Arc;

use amends_database::Database;
use amends_nats::trace;
use async_nats::HeaderMap;

use crate::inbox::Inbox;
use crate::locks::KeyedLocks;
use crate::relay::RelayHandle;

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) context: &'static str,
    pub(crate) database: Database,
    pub(crate) inbox: Inbox,
    pub(crate) relay: RelayHandle,
    pub(crate) locks: KeyedLocks,
    /// What the call's message carried, to be passed on even when this process records no traces.
    pub(crate) traceparent: Option<Arc<str>>,
}

impl Scope {
    /// The same, for a call that came with these headers.
    pub(crate) fn of_message(&self, headers: Option<&HeaderMap>) -> Self {
        Self { traceparent: trace::traceparent(headers).map(Arc::from), ..self.clone() }
    }

    /// Headers for what this call sends: its own span, or else what it was called with.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = trace::current();
        if headers.is_empty() {
            trace::with_traceparent(&mut headers, self.traceparent.as_deref());
        }
        headers
    }
}
