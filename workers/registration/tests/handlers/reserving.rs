//! Reserving, releasing, confirming.

use std::sync::Arc;

use amends_registration::{Settings, context};
use amends_schemas::command::CompensationReason;
use amends_schemas::ids::EventId;
use amends_sdk::testing::Harness;
use serde_json::json;

use crate::scene::{Person, all, availability, ended, published, start, succeeded, told, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_for_ten_seats_get_ten_seats_and_positions_one_to_ninety() {
    within(async {
        // Two workers on one database: within one, a lock keeps them apart; between two, only the transactions do.
        let first = Arc::new(start().await);
        let contracts = amends_schemas::library::contracts().expect("valid");
        let second = Arc::new(Harness::on(context(Settings::default()), first.database().clone(), &contracts).await);
        let event_id = published(&first, 10, None).await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..100 {
            let harness = Arc::clone(if n % 2 == 0 { &first } else { &second });
            tasks.spawn(async move {
                let person = Person::new(event_id, &format!("person-{n}@example.org"));
                // What a worker does when the database is too busy: the command comes again.
                loop {
                    let result = person.reserve(&harness).await;
                    if ended(&result) != "unknown write_conflict" {
                        return (person, succeeded(result));
                    }
                }
            });
        }
        let admitted = tasks.join_all().await;
        let numbers = |wanted: &str, member: &str| {
            let mut numbers: Vec<u64> = admitted
                .iter()
                .filter(|(_, (outcome, _))| outcome == wanted)
                .map(|(_, (_, output))| output[member].as_u64().expect("a number"))
                .collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(numbers("free", "seat"), (1..=10).collect::<Vec<_>>());
        assert_eq!(numbers("waitlisted", "position"), (1..=90).collect::<Vec<_>>());
        assert_eq!(availability(&first, event_id).await, [10, 10, 0, 90]);
        for (person, (outcome, output)) in &admitted {
            let expected = match outcome.as_str() {
                "free" => format!("pending seat {}", output["seat"]),
                _ => format!("waitlisted at {}", output["position"]),
            };
            assert_eq!(person.short(&first).await, expected);
        }
        let listed = all(&first, json!({ "event_id": event_id, "status": "waitlisted" }), 40).await;
        let mut positions: Vec<u64> = listed.iter().filter_map(|item| item["position"].as_u64()).collect();
        positions.sort_unstable();
        assert_eq!(positions, (1..=90).collect::<Vec<_>>(), "the list tells the same positions");
        assert_eq!(told(&first).await.len(), 90, "one word for each who waits");

        let mut tasks = tokio::task::JoinSet::new();
        for (person, _) in admitted.into_iter().filter(|(_, (outcome, _))| outcome == "free") {
            let harness = Arc::clone(&second);
            tasks.spawn(async move { ended(&person.confirm(&harness).await) });
        }
        assert_eq!(tasks.join_all().await, ["succeeded"; 10]);
        assert_eq!(availability(&first, event_id).await, [10, 10, 10, 90]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reserving_again_is_reserving_once() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 10, Some("120")).await;
        let person = Person::new(event_id, "ada@example.org");
        let first = person.reserve(&harness).await;
        assert_eq!(person.reserve(&harness).await, first);
        let (outcome, output) = succeeded(first);
        assert_eq!(outcome, "paid");
        assert_eq!(output["price"], json!({ "amount": "120.00", "currency": "EUR" }));
        assert_eq!((&output["tax_rate"], &output["seat"]), (&json!("0.20"), &json!(1)));
        assert_eq!(availability(&harness, event_id).await, [10, 1, 0, 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn releasing_twice_frees_one_seat_and_the_lowest_goes_first() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 12, None).await;
        let mut people = Vec::new();
        for n in 1..=12 {
            let person = Person::new(event_id, &format!("person-{n}@example.org"));
            person.reserve(&harness).await;
            people.push(person);
        }
        for seat in [11, 2, 10] {
            for _ in 0..2 {
                let released = people[seat - 1].release(&harness, CompensationReason::Failed).await;
                assert_eq!(ended(&released), "succeeded");
            }
        }
        assert_eq!(availability(&harness, event_id).await, [12, 9, 0, 0]);
        assert_eq!(people[1].short(&harness).await, "rejected");
        for seat in [2, 10, 11] {
            let person = Person::new(event_id, &format!("late-{seat}@example.org"));
            assert_eq!(succeeded(person.reserve(&harness).await).1["seat"], json!(seat));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_read_of_a_release_says_why() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 10, None).await;
        for (reason, read) in [
            (CompensationReason::Failed, "rejected"),
            (CompensationReason::Cancelled, "cancelled"),
            (CompensationReason::Deadline, "rejected"),
        ] {
            let person = Person::new(event_id, "ada@example.org");
            person.reserve(&harness).await;
            person.release(&harness, reason).await;
            assert_eq!(person.short(&harness).await, read);
            assert_eq!(person.view(&harness).await["reason"], json!(reason.as_str()));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_that_comes_first_bars_the_do() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 10, None).await;
        let person = Person::new(event_id, "ada@example.org");
        assert_eq!(ended(&person.release(&harness, CompensationReason::Cancelled).await), "succeeded");
        assert_eq!(ended(&person.reserve(&harness).await), "failed undone_before");
        assert_eq!(availability(&harness, event_id).await, [10, 0, 0, 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_moves_up_and_a_freed_seat_is_not_a_newcomers() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 1, None).await;
        let mut people = Vec::new();
        for name in ["seated", "first", "second", "third"] {
            let person = Person::new(event_id, &format!("{name}@example.org"));
            person.reserve(&harness).await;
            people.push(person);
        }
        people[1].release(&harness, CompensationReason::Cancelled).await;
        assert_eq!(people[2].short(&harness).await, "waitlisted at 1");
        assert_eq!(people[3].short(&harness).await, "waitlisted at 2");
        people[0].release(&harness, CompensationReason::Cancelled).await;
        let newcomer = Person::new(event_id, "newcomer@example.org");
        assert_eq!(ended(&newcomer.reserve(&harness).await), "waitlisted");
        assert_eq!(newcomer.short(&harness).await, "waitlisted at 3");
        assert_eq!(availability(&harness, event_id).await, [1, 0, 0, 3]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_has_one_active_registration() {
    within(async {
        let harness = Arc::new(start().await);
        let event_id = published(&harness, 10, None).await;
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..20 {
            let harness = Arc::clone(&harness);
            let email = if n % 2 == 0 { "Ada@Example.org" } else { "ada@example.ORG" };
            tasks.spawn(async move {
                let person = Person::new(event_id, email);
                let ended = ended(&person.reserve(&harness).await);
                (person, ended)
            });
        }
        let asked = tasks.join_all().await;
        let (winners, losers): (Vec<_>, Vec<_>) = asked.iter().partition(|(_, ended)| ended == "free");
        assert_eq!((winners.len(), losers.len()), (1, 19));
        for (person, ended) in losers {
            assert_eq!(ended, "failed already_registered");
            let view = person.view(&harness).await;
            assert_eq!((&view["status"], &view["error"]["code"]), (&json!("rejected"), &json!("already_registered")));
        }
        assert_eq!(availability(&harness, event_id).await, [10, 1, 0, 0]);

        // Another event is another matter, and so is the same one once the first has come to nothing.
        let other = published(&harness, 10, None).await;
        assert_eq!(ended(&Person::new(other, "ada@example.org").reserve(&harness).await), "free");
        winners[0].0.release(&harness, CompensationReason::Failed).await;
        assert_eq!(ended(&Person::new(event_id, "ada@example.org").reserve(&harness).await), "free");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_not_known_yet_is_tried_again() {
    within(async {
        let harness = start().await;
        let person = Person::new(EventId::generate(), "ada@example.org");
        assert_eq!(ended(&person.reserve(&harness).await), "retry event_not_known");
        let data = crate::scene::snapshot(person.event_id, 1, None);
        crate::scene::tell(&harness, "EventPublished", 2, data).await;
        assert_eq!(ended(&person.reserve(&harness).await), "free");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_capacity_means_everybody_waits() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 0, Some("120")).await;
        for position in 1..=3 {
            let person = Person::new(event_id, &format!("person-{position}@example.org"));
            assert_eq!(ended(&person.reserve(&harness).await), "waitlisted");
            assert_eq!(person.short(&harness).await, format!("waitlisted at {position}"));
        }
        assert_eq!(availability(&harness, event_id).await, [0, 0, 0, 3]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn confirming_twice_is_confirming_once() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 10, Some("120")).await;
        let person = Person::new(event_id, "ada@example.org");
        person.reserve(&harness).await;
        let first = person.confirm(&harness).await;
        assert_eq!(succeeded(first.clone()).1["seat"], json!(1));
        assert_eq!(person.confirm(&harness).await, first);
        assert_eq!(person.short(&harness).await, "confirmed seat 1");
        assert_eq!(availability(&harness, event_id).await, [10, 1, 1, 0]);
        assert_eq!(told(&harness).await, ["registration.RegistrationConfirmed.v1"]);
        // No saga turns back after that; one that tried would be told that something is badly wrong.
        assert_eq!(ended(&person.release(&harness, CompensationReason::Failed).await), "unknown bug");
        assert_eq!(person.short(&harness).await, "confirmed seat 1");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_released_is_never_confirmed() {
    within(async {
        let harness = start().await;
        let event_id = published(&harness, 10, Some("120")).await;
        let person = Person::new(event_id, "ada@example.org");
        person.reserve(&harness).await;
        person.release(&harness, CompensationReason::Deadline).await;
        assert_eq!(ended(&person.confirm(&harness).await), "unknown bug");
        assert_eq!(person.short(&harness).await, "rejected");
        assert!(told(&harness).await.is_empty());
    })
    .await;
}
