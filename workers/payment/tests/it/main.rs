//! The context through its worker's own machinery, on a real database, against the real test gateway over HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod capture;
mod doubt;
mod refund;
mod support;
mod trace;
mod webhook;
