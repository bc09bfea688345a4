//! `amends check`: reads saga definitions and says what is wrong with them, without running anything.

use std::path::Path;

use amends_core::definition::{Definition, DefinitionLibrary};
use amends_core::validate::{check_links, parse};
use amends_schemas::contract::ContractRegistry;
use amends_schemas::library;
use anyhow::bail;

use crate::cli::CheckArgs;
use crate::schemas::{contracts, listing, read, saga_documents};

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
    let parsed: Vec<_> = documents.iter().map(|(file, text)| (file, parse(file, text, &contracts))).collect();
    let library = library(args, parsed.iter().filter_map(|(_, parsed)| parsed.as_ref().ok()), &contracts)?;
    let mut wrong = 0;
    for (file, parsed) in parsed {
        let linked = parsed.and_then(|definition| {
            let findings = check_links(file, &definition, &library);
            if findings.is_empty() { Ok(definition) } else { Err(findings) }
        });
        match linked {
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

/// The named ones among those they would run with: what ships and what lies in the folder. Where two say the same name and version the
/// named one counts, and what cannot be read there is not what is checked here.
fn library<'d>(
    args: &CheckArgs,
    named: impl Iterator<Item = &'d Definition>,
    contracts: &ContractRegistry,
) -> anyhow::Result<DefinitionLibrary> {
    let mut library = DefinitionLibrary::default();
    for definition in named {
        let _ = library.add(definition.clone());
    }
    for (file, text) in saga_documents(args.schemas.as_deref().unwrap_or(Path::new("")))? {
        if let Ok(definition) = parse(&file, &text, contracts) {
            let _ = library.add(definition);
        }
    }
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_saga_that_cancels_must_be_there() {
        let shipped = library::saga_documents().into_iter().find(|document| document.path == "registration/v1.yaml");
        let text = shipped.expect("it ships").text;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("v1.yaml");
        let check = |text: String| {
            std::fs::write(&file, text).expect("written");
            run(&CheckArgs { files: vec![file.clone()], schemas: None })
        };
        check(text.to_owned()).expect("it is right as it ships");
        let error = check(text.replace("saga: registration-cancellation", "saga: nobody")).expect_err("no such saga");
        assert_eq!(error.to_string(), "1 found wrong");
    }
}
