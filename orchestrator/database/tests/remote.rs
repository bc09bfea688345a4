//! What the crate promises, against a SurrealDB server, which dies, comes back, hangs and refuses.

mod suite;

use std::time::Duration;

use amends_database::{Database, ErrorKind, Location};
use amends_test_support::surreal;
use anyhow::Result;
use serde_json::json;
use suite::{check, count, kind, open};

/// The suite runs here with a server of its own for each test.
const REMOTE: bool = true;

#[test]
fn a_server_that_is_not_there_is_unavailable() -> Result<()> {
    check(|_| async move {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let location = Location::Remote { url: format!("ws://127.0.0.1:{port}"), username: None, password: None };
        assert_eq!(kind(Database::open(&location, "amends", "test").await), Some(ErrorKind::Unavailable));
        Ok(())
    })
}

#[test]
fn a_wrong_password_is_our_own_mistake() -> Result<()> {
    check(|place| async move {
        let Location::Remote { url, username, .. } = place.location("test") else { unreachable!("a server") };
        let wrong = Location::Remote { url, username, password: Some(format!("not-{}", surreal::PASSWORD)) };
        assert_eq!(kind(Database::open(&wrong, "amends", "test").await), Some(ErrorKind::Bug));
        Ok(())
    })
}

/// Statements, transactions under way and new ones: all heal, by themselves, and what was committed is there.
#[test]
fn a_server_that_dies_and_comes_back_is_used_again() -> Result<()> {
    check(|mut place| async move {
        let database = open(&place).await?;
        database.query("DEFINE TABLE seat; CREATE seat:a", ()).await?;
        for round in 0..3 {
            let open_before = database.begin().await?;
            open_before.query("CREATE seat:never", ()).await?;
            let server = place.server.as_mut().expect("a server");
            server.kill().await;
            assert_eq!(kind(database.ping().await), Some(ErrorKind::Unavailable));
            server.start().await;
            assert_eq!(kind(open_before.commit().await), Some(ErrorKind::Unavailable));
            // The server may accept connections a moment before it can sign anybody in.
            while let Err(error) = database.ping().await {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            }
            let transaction = database.begin().await?;
            transaction.query("CREATE type::record('seat', $round)", json!({"round": round})).await?;
            transaction.commit().await?;
            assert_eq!(count(&database, "seat").await?, round + 2);
        }
        Ok(())
    })
}

/// Whether every thread of a process has stopped.
fn stands_still(pid: &str) -> Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        if !std::fs::read_to_string(thread?.path().join("stat"))?.contains(") T ") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A frozen machine holds its connections: only time tells.
#[test]
fn a_server_that_hangs_is_unavailable() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        let pid = place.server.as_ref().and_then(|server| server.pid()).expect("it runs").to_string();
        let signal = async |name: &'static str| {
            let pid = pid.clone();
            tokio::task::spawn_blocking(move || std::process::Command::new("kill").args([name, &pid]).status()).await
        };
        signal("-STOP").await??;
        // Every thread stops in its own time.
        while !stands_still(&pid)? {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(kind(database.ping().await), Some(ErrorKind::Unavailable));
        assert_eq!(kind(database.begin().await), Some(ErrorKind::Unavailable), "within the time an answer may take");
        signal("-CONT").await??;
        while let Err(error) = database.ping().await {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
        Ok(())
    })
}

/// A server allows 256 sessions on one connection and verifies a password for each: they are used again.
#[test]
fn hundreds_of_transactions_share_a_few_sessions() -> Result<()> {
    check(|place| async move {
        let database = open(&place).await?;
        database.query("DEFINE TABLE seat; CREATE seat:a SET taken = 0", ()).await?;
        for round in 0..300 {
            let transaction = database.begin().await?;
            transaction.query("UPDATE seat:a SET taken += 1", ()).await?;
            if round % 3 == 0 {
                transaction.cancel().await?;
            } else {
                transaction.commit().await?;
            }
        }
        assert_eq!(database.query("SELECT VALUE taken FROM seat:a", ()).await?.take::<u64>(0)?, [200]);
        Ok(())
    })
}

/// As every role of a new deployment does.
#[test]
fn databases_of_a_new_namespace_are_opened_at_once() -> Result<()> {
    check(|place| async move {
        let names =
            ["orchestrator", "events", "registration", "payment", "billing", "notification", "events", "events"];
        let opening: Vec<_> = names
            .into_iter()
            .map(|name| {
                let location = place.location(name);
                tokio::spawn(async move { Database::open(&location, "fresh", name).await })
            })
            .collect();
        for opened in opening {
            opened.await??.ping().await?;
        }
        Ok(())
    })
}
