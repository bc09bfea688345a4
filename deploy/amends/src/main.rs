//! The one binary, in every role.
fn main() {}
