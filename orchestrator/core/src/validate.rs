//! Reads a definition and refuses what cannot be right, with file, line and what to write instead.

use amends_schemas::contract::ContractRegistry;

use crate::definition::Definition;

/// One thing wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file, as it was named to us.
    pub file: String,
    /// Line, from one.
    pub line: usize,
    /// Column, from one.
    pub column: usize,
    /// Stable, in `snake_case`.
    pub code: &'static str,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Reads and checks one document.
///
/// # Errors
/// Everything found wrong, in the order of the document.
pub fn parse(_file: &str, _yaml: &str, _contracts: &ContractRegistry) -> Result<Definition, Vec<Finding>> {
    unimplemented!()
}
