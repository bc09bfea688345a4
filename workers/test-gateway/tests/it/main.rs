//! The test gateway over real HTTP.

mod support;
mod tokens;
mod webhooks;
