//! `amends rehearse`: plays a new version of a definition over sagas that ran the old one, and says where they would part.

use std::path::Path;

use amends_core::definition::Definition;
use amends_core::rehearse::{Divergence, Recording, rehearse};
use amends_core::validate::parse;
use amends_schemas::contract::ContractRegistry;
use amends_schemas::limits::PAGE_MAX;
use amends_schemas::saga::SagaSummary;
use anyhow::bail;

use crate::cli::RehearseArgs;
use crate::client::Client;
use crate::schemas::{contracts, listing, read};

/// Most pages of the list that are looked through for sagas of the old version: with newer versions about there may be few.
const PAGES_MAX: usize = 500;

/// What came of one saga.
enum Outcome {
    /// Where the two would part; empty when they would not.
    Played(Vec<Divergence>),
    /// Why it could not be played.
    Unplayed(String),
}

/// Rehearses.
///
/// # Errors
/// When anything would diverge, when a saga cannot be played, or when there is none; all of it is printed first.
pub async fn run(args: &RehearseArgs) -> anyhow::Result<()> {
    let contracts = contracts(args.schemas.as_deref().unwrap_or(Path::new("")))?;
    let old = definition(&args.old, &contracts)?;
    let new = definition(&args.new, &contracts)?;
    let client = Client::new(&args.api);
    let last = usize::try_from(args.last).unwrap_or(usize::MAX);
    let sagas = sagas_of(&client, &old, last).await?;
    if sagas.is_empty() {
        bail!("no saga of {} was found: nothing was rehearsed", old.reference);
    }
    let (mut same, mut parted, mut unplayed) = (0, 0, 0);
    for summary in &sagas {
        let outcome = play(&client, &old, &new, summary).await?;
        match &outcome {
            Outcome::Played(divergences) if divergences.is_empty() => same += 1,
            Outcome::Played(_) => parted += 1,
            Outcome::Unplayed(_) => unplayed += 1,
        }
        print!("{}", table(summary, &outcome));
    }
    println!("{} over {} of {}: {same} the same, {parted} diverge", new.reference, sagas.len(), old.reference);
    match (parted, unplayed) {
        (0, 0) => Ok(()),
        (0, _) => bail!("{unplayed} could not be played"),
        (_, 0) => bail!("{parted} diverge"),
        (_, _) => bail!("{parted} diverge, {unplayed} could not be played"),
    }
}

fn definition(file: &Path, contracts: &ContractRegistry) -> anyhow::Result<Definition> {
    parse(&file.display().to_string(), &read(file)?, contracts)
        .map_err(|findings| anyhow::anyhow!("the definition is not right:\n{}", listing(&findings)))
}

/// The newest sagas of a definition, at most `last`.
async fn sagas_of(client: &Client, old: &Definition, last: usize) -> anyhow::Result<Vec<SagaSummary>> {
    let mut found = Vec::new();
    let mut cursor = None;
    for _ in 0..PAGES_MAX {
        let mut query = vec![("definition", old.reference.name.to_string()), ("limit", PAGE_MAX.to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page = client.sagas(&query).await?;
        found.extend(page.items.into_iter().filter(|saga| saga.version == old.reference.version));
        cursor = page.next_cursor;
        if found.len() >= last || cursor.is_none() {
            break;
        }
    }
    found.truncate(last);
    Ok(found)
}

async fn play(client: &Client, old: &Definition, new: &Definition, saga: &SagaSummary) -> anyhow::Result<Outcome> {
    let history = client.whole_history(saga.saga_id).await?;
    let recording = Recording::read(old, saga.saga_id, &history);
    Ok(match recording.and_then(|recording| rehearse(old, new, &recording)) {
        Ok(divergences) => Outcome::Played(divergences),
        Err(error) => Outcome::Unplayed(error.to_string()),
    })
}

/// One saga: a line, and one for each divergence.
fn table(saga: &SagaSummary, outcome: &Outcome) -> String {
    let head = format!("{}  {:<12}", saga.saga_id, saga.status.as_str());
    match outcome {
        Outcome::Played(divergences) if divergences.is_empty() => format!("{head}  the same\n"),
        Outcome::Played(divergences) => {
            divergences.iter().map(|divergence| format!("{head}  {divergence}\n")).collect()
        }
        Outcome::Unplayed(why) => format!("{head}  could not be played: {why}\n"),
    }
}
