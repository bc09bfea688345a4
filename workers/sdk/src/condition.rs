//! Says once that something is not well, and once that it is again.

/// The state of one thing that is tried for ever.
#[derive(Debug)]
pub(crate) struct Condition {
    subject: String,
    reason: Option<String>,
}

impl Condition {
    pub(crate) const fn new(subject: String) -> Self {
        Self { subject, reason: None }
    }

    /// Not well; logged when it was well before, or for another reason.
    pub(crate) fn ill(&mut self, reason: &str) {
        if self.reason.as_deref() != Some(reason) {
            tracing::warn!(subject = self.subject, reason, "trouble; trying again until it passes");
            self.reason = Some(reason.to_owned());
        }
    }

    /// Well; logged when it was not.
    pub(crate) fn well(&mut self) {
        if self.reason.take().is_some() {
            tracing::info!(subject = self.subject, "well again");
        }
    }
}
