//! The thin HTTP gateway: it asks over NATS and owns no state.
