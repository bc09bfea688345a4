//! The test gateway over real HTTP.

#![allow(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod support;
mod tokens;
mod webhooks;
