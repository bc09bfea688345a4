//! A deterministic payment gateway over real HTTP, with a ledger of its own.
