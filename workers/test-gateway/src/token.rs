//! Payment tokens: each stands for one way a gateway can behave.

/// What a gateway does with a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// `tok_ok`: charged, answered.
    Charge,
    /// `tok_slow`: charged at once, answered late, each time it is asked.
    Slow,
    /// `tok_lost`: charged, and the connection closed without an answer, each time it is asked.
    Lost,
    /// `tok_flaky`: [`FAULTS`] errors per key, then charged.
    Flaky,
    /// `tok_declined`, `tok_insufficient_funds`: refused at once.
    Decline(Decline),
    /// `tok_webhook`, `tok_webhook_late`, `tok_webhook_declined`: pending; how it ended is told by webhook.
    Pending {
        /// After the late delay rather than the ordinary one.
        late: bool,
        /// Refused rather than charged.
        declined: bool,
    },
}

/// Why a charge is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decline {
    /// The bank said no.
    CardDeclined,
    /// Not enough money.
    InsufficientFunds,
    /// No such token.
    InvalidToken,
}

impl Decline {
    /// Stable, in `snake_case`.
    pub const fn code(self) -> &'static str {
        match self {
            Decline::CardDeclined => "card_declined",
            Decline::InsufficientFunds => "insufficient_funds",
            Decline::InvalidToken => "invalid_token",
        }
    }

    /// For people.
    pub const fn message(self) -> &'static str {
        match self {
            Decline::CardDeclined => "The card was declined.",
            Decline::InsufficientFunds => "The card has insufficient funds.",
            Decline::InvalidToken => "There is no such payment token.",
        }
    }
}

/// Errors that `tok_flaky` gives under one key before it works.
pub const FAULTS: u32 = 2;

/// What `token` does; a token that is not known is declined.
pub fn behaviour(token: &str) -> Behaviour {
    match token {
        "tok_ok" => Behaviour::Charge,
        "tok_slow" => Behaviour::Slow,
        "tok_lost" => Behaviour::Lost,
        "tok_flaky" => Behaviour::Flaky,
        "tok_declined" => Behaviour::Decline(Decline::CardDeclined),
        "tok_insufficient_funds" => Behaviour::Decline(Decline::InsufficientFunds),
        "tok_webhook" => Behaviour::Pending { late: false, declined: false },
        "tok_webhook_late" => Behaviour::Pending { late: true, declined: false },
        "tok_webhook_declined" => Behaviour::Pending { late: false, declined: true },
        _ => Behaviour::Decline(Decline::InvalidToken),
    }
}
