//! The handlers on a real database, called as the worker calls them.

mod cancelling;
mod catalog;
mod holds;
mod queries;
mod reserving;
mod scene;
