//! `amends check`: reads saga definitions and says what is wrong with them, without running anything.

use std::path::Path;

use amends_core::validate::parse;
use amends_schemas::library;
use anyhow::bail;

use crate::cli::CheckArgs;
use crate::schemas::{contracts, listing, read};

/// Checks the named files, or all that ship.
///
/// # Errors
/// When anything is wrong; everything found is printed first.
pub fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let contracts = contracts(args.schemas.as_deref().unwrap_or(Path::new("")))?;
    let documents: Vec<(String, String)> = if args.files.is_empty() {
        library::saga_documents().iter().map(|document| (document.path.to_owned(), document.text.to_owned())).collect()
    } else {
        args.files.iter().map(|file| Ok((file.display().to_string(), read(file)?))).collect::<anyhow::Result<_>>()?
    };
    let mut wrong = 0;
    for (file, text) in &documents {
        match parse(file, text, &contracts) {
            Ok(definition) => {
                println!(
                    "{file}: {} is right, {} steps, hash {}",
                    definition.reference,
                    definition.steps.len(),
                    &definition.reference.hash[..12]
                );
            }
            Err(findings) => {
                wrong += findings.len();
                println!("{}", listing(&findings));
            }
        }
    }
    if wrong > 0 {
        bail!("{wrong} found wrong");
    }
    Ok(())
}
