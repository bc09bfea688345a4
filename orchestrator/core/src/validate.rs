//! Reads a definition and refuses what cannot be right, with file, line and what to write instead.
//!
//! | file | concern |
//! |---|---|
//! | `finding` | one thing wrong, and the reader that collects them |
//! | `tree` | YAML with places |
//! | `document` | the document as a whole |
//! | `step` | one step |
//! | `policy` | durations, retries, compensation |
//! | `condition` | `when` |
//! | `mapping` | pointers and literals |
//! | `input` | a step's input against its contract |
//! | `schema` | what a JSON Schema says about a path |
//! | `paths` | kinds of steps along every combination of outcomes |
//! | `library` | several documents together, and the names of their files |
//! | `hash` | the content hash |

mod condition;
mod document;
mod finding;
mod hash;
mod input;
mod library;
mod mapping;
mod paths;
mod policy;
mod schema;
mod step;
mod tree;

pub use document::parse;
pub use finding::Finding;
pub(crate) use hash::content_hash;
pub use library::{check_links, parse_library};
pub use paths::PATHS_MAX;
pub use policy::{ATTEMPTS_MAX, BACKOFF_MAX, DEADLINE_MAX, FACTOR_MAX, TIMEOUT_MAX};
