//! W3C trace context in message headers.
//!
//! The propagator is the process's own (`opentelemetry::global`): when none is installed nothing is added. What already
//! carries a context is passed on by [`with_traceparent`] either way.

use async_nats::HeaderMap;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header that carries it.
pub const TRACEPARENT: &str = "traceparent";

/// Longest `traceparent` that is taken over; version 00 has 55 bytes, later ones may append.
const TRACEPARENT_BYTES_MAX: usize = 128;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key, value);
    }
}

/// Headers that carry the current span's context; empty when there is none.
pub fn current() -> HeaderMap {
    of_span(&tracing::Span::current())
}

/// Headers that carry a span's context; empty when it has none.
pub fn of_span(span: &tracing::Span) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !span.is_none() {
        let context = span.context();
        if context.span().span_context().is_valid() {
            opentelemetry::global::get_text_map_propagator(|propagator| {
                propagator.inject_context(&context, &mut HeadersMut(&mut headers));
            });
        }
    }
    headers
}

/// Makes the context in `headers` the parent of `span`.
pub fn set_parent(span: &tracing::Span, headers: Option<&HeaderMap>) {
    let Some(headers) = headers else { return };
    if span.is_none() || headers.get(TRACEPARENT).is_none() {
        return;
    }
    let parent = opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(&Headers(headers)));
    // Fails only when no exporter listens, and then there is no trace to join.
    let _ = span.set_parent(parent);
}

/// Makes the context that a message carries the parent of `span`.
pub fn of_message(span: &tracing::Span, message: &async_nats::Message) {
    set_parent(span, message.headers.as_ref());
}

/// The bare `traceparent` in `headers`, to be carried along as text.
pub fn traceparent(headers: Option<&HeaderMap>) -> Option<&str> {
    headers?.get(TRACEPARENT).map(|value| value.as_str()).filter(|text| text.len() <= TRACEPARENT_BYTES_MAX)
}

/// Whether a `traceparent` asks for its trace to be recorded.
pub fn is_sampled(traceparent: &str) -> bool {
    let flags = traceparent.split('-').nth(3).and_then(|flags| u8::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & 1 == 1)
}

/// Adds a `traceparent` carried as text, if there is one and it can stand in a header.
pub fn with_traceparent(headers: &mut HeaderMap, traceparent: Option<&str>) {
    if let Some(text) = traceparent
        && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        headers.insert(TRACEPARENT, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_travels_as_text() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        with_traceparent(&mut headers, Some(text));
        assert_eq!(traceparent(Some(&headers)), Some(text));
        assert!(is_sampled(text));
        assert!(!is_sampled("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
        assert!(!is_sampled("nonsense"));
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_left_out() {
        let mut headers = HeaderMap::new();
        with_traceparent(&mut headers, Some("a\r\nb"));
        with_traceparent(&mut headers, None);
        assert!(headers.is_empty());
    }
}
