//! Handlers in tasks of their own, so that a panic is an answer, not the end.

use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, Span};

/// A handler panicked. The panic's own message may quote an input; the panic hook has printed it with its place.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Runs a handler in the current span; dropping the future ends it. Only the end of the runtime ends a handler before its caller: then this
/// never returns, for nothing may be said or noted about the handler any more, as after a kill.
pub(crate) async fn isolated<T: Send + 'static>(
    handling: impl Future<Output = T> + Send + 'static,
) -> Result<T, Panicked> {
    match AbortOnDropHandle::new(tokio::spawn(handling.instrument(Span::current()))).await {
        Ok(done) => Ok(done),
        Err(error) if error.is_panic() => Err(Panicked),
        Err(_) => std::future::pending().await,
    }
}
