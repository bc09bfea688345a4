//! Reads a definition and refuses what cannot be right, with file, line and what to write instead.
//!
//! | file | concern |
//! |---|---|
//! | `finding` | one thing wrong, and the reader that collects them |
//! | `tree` | YAML with places |
//! | `document` | the document as a whole |
//! | `flow` | steps one after the other, and in branches |
//! | `known` | names of steps and what they do, before any is read in full |
//! | `step` | one step; calls |
//! | `waits` | `await` and `sleep` |
//! | `children` | `saga` and `for_each` |
//! | `policy` | durations and retries |
//! | `compensation` | how amends are made |
//! | `condition` | `when` |
//! | `mapping` | pointers and literals |
//! | `input` | an input against the schema of whoever takes it |
//! | `schema` | what a JSON Schema says about a path |
//! | `paths` | kinds of steps along every combination of outcomes |
//! | `library` | several documents together, and the names of their files |
//! | `links` | the sagas that a definition names |
//! | `released` | released documents are frozen |
//! | `hash` | content hashes |

mod children;
mod compensation;
mod condition;
mod document;
mod finding;
mod flow;
mod hash;
mod input;
mod known;
mod library;
mod links;
mod mapping;
mod paths;
mod policy;
mod released;
mod schema;
mod step;
mod tree;
mod waits;

pub use document::parse;
pub use finding::Finding;
pub use flow::PARALLEL_DEPTH_MAX;
pub(crate) use hash::content_hash;
pub use library::parse_library;
pub use links::check_links;
pub use paths::PATHS_MAX;
pub use policy::{ATTEMPTS_MAX, BACKOFF_MAX, DEADLINE_MAX, FACTOR_MAX, TIMEOUT_MAX, WAIT_MAX};
pub use released::check_released;
pub use waits::OUTCOMES_MAX;
