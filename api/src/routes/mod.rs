//! The routes, one file per resource.

pub mod bulk;
pub mod dead_letters;
pub mod definitions;
pub mod events;
pub mod invoices;
pub mod notifications;
pub mod operate;
pub mod operations;
pub mod paging;
pub mod payments;
pub mod registrations;
pub mod sagas;
pub mod schedules;
pub mod search;
pub mod signals;
pub mod stream;
pub mod workers;
