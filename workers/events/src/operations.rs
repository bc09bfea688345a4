//! What organisers do, one file each. Asked directly over NATS: the catalog's own changes need no saga.

mod create;
mod end;
mod given;
mod transitions;
mod update;

use amends_schemas::problem::{FieldError, Problem};

pub use create::{Create, CreateEvent};
pub use end::EndEvents;
pub use transitions::{Cancel, Close, Publish};
pub use update::{Update, UpdateEvent};

use crate::domain::Refusal;

/// The one edge where the domain's refusals become problems.
fn problem(refusal: Refusal) -> Problem {
    let message = refusal.to_string();
    match refusal {
        Refusal::Unsound(faults) => unsound(faults),
        Refusal::IllegalTransition { .. } => Problem::conflict("illegal_transition", message),
        Refusal::StartsInPast => Problem::conflict("starts_in_past", message),
        Refusal::CapacityBelowSold { .. } => Problem::conflict("capacity_below_sold", message),
        Refusal::CurrencyFixed { .. } => Problem::conflict("currency_fixed", message),
    }
}

fn unsound(faults: Vec<FieldError>) -> Problem {
    let message = match faults.first() {
        Some(first) => format!("{} {}", first.pointer, first.message),
        None => "the event is not sound".to_owned(),
    };
    Problem::invalid("invalid_event", message).with_errors(faults)
}
