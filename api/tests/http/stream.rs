//! Server-sent events.

use std::time::Duration;

use amends_schemas::ids::SagaId;
use amends_schemas::saga::{Priority, SagaStatus, SagaView, StartSaga};
use amends_schemas::subjects::saga_changes;
use futures::StreamExt;
use serde_json::json;

use crate::stage::{Orchestrator, Stage, view_of, within};

/// Reads a stream event by event.
struct Events {
    body: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    text: String,
}

impl Events {
    async fn open(stage: &Stage, id: SagaId) -> Self {
        let response =
            stage.http.get(format!("http://{}/v1/sagas/{id}/stream", stage.address)).send().await.expect("answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = Box::pin(response.bytes_stream().map(|chunk| chunk.map(|bytes| bytes.to_vec())));
        Self { body, text: String::new() }
    }

    /// The next event, or `None` at the end.
    async fn next(&mut self, stage: &Stage) -> Option<SagaView> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.starts_with(':') {
                    continue;
                }
                let field = |name: &str| {
                    let found = event.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
                    found.unwrap_or_else(|| panic!("{name} in {event}")).to_owned()
                };
                assert_eq!(field("event:"), "saga");
                let data: serde_json::Value = serde_json::from_str(&field("data:")).expect("json");
                assert!(stage.document.component("Saga").is_valid(&data), "{data}");
                let view: SagaView = serde_json::from_value(data).expect("a saga");
                assert_eq!(field("id:"), view.event_count.to_string());
                return Some(view);
            }
            match self.body.next().await {
                Some(chunk) => self.text.push_str(&String::from_utf8(chunk.expect("a chunk")).expect("utf-8")),
                None => return None,
            }
        }
    }
}

fn running(orchestrator: &Orchestrator) -> SagaView {
    let start = StartSaga {
        saga_id: SagaId::generate(),
        definition: "a".to_owned(),
        version: None,
        input: json!({}),
        tags: Default::default(),
        start_at: None,
        priority: Priority::default(),
        parent: None,
    };
    let view = view_of(&start);
    orchestrator.put(view.clone());
    view
}

async fn publish(stage: &Stage, view: &SagaView) {
    let payload = serde_json::to_vec(view).expect("json");
    stage.nats.client().publish(saga_changes(view.saga_id), payload.into()).await.expect("published");
    stage.nats.client().flush().await.expect("flushed");
}

#[tokio::test]
async fn a_stream_tells_how_it_is_then_each_change_then_ends() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let mut view = running(&orchestrator);
        let mut events = Events::open(&stage, view.saga_id).await;
        assert_eq!(events.next(&stage).await.expect("the first").event_count, 1);
        let asked: Vec<String> = orchestrator.asked.all().into_iter().map(|(subject, _, _)| subject).collect();
        let verbs: Vec<&str> = asked.iter().map(|subject| subject.rsplit('.').next().expect("a verb")).collect();
        assert_eq!(verbs, ["watch", "get"], "the watch stands before the saga is read");

        let mut older = view.clone();
        older.event_count = 1;
        publish(&stage, &older).await;
        stage.nats.client().publish(saga_changes(view.saga_id), "not a saga".into()).await.expect("published");
        for (count, status) in
            [(2, SagaStatus::Running), (2, SagaStatus::Running), (5, SagaStatus::Stuck), (4, SagaStatus::Running)]
        {
            view.event_count = count;
            view.status = status;
            publish(&stage, &view).await;
        }
        view.event_count = 6;
        view.status = SagaStatus::Completed;
        publish(&stage, &view).await;
        let mut counts = Vec::new();
        while let Some(view) = events.next(&stage).await {
            counts.push(view.event_count);
        }
        assert_eq!(counts, [2, 5, 6], "no repeats, nothing older, and the end after the final one");
    })
    .await;
}

#[tokio::test]
async fn a_final_saga_is_told_once() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let mut view = running(&orchestrator);
        view.status = SagaStatus::Compensated;
        orchestrator.put(view.clone());
        let mut events = Events::open(&stage, view.saga_id).await;
        assert_eq!(events.next(&stage).await.expect("the one").status, SagaStatus::Compensated);
        assert!(events.next(&stage).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn streams_are_bounded_in_number_counted_and_end_with_the_process() {
    within(async {
        let mut settings = crate::stage::impatient();
        settings.streams_max = 1;
        let mut stage = Stage::with(settings).await;
        let orchestrator = stage.orchestrator().await;
        let view = running(&orchestrator);
        let mut events = Events::open(&stage, view.saga_id).await;
        events.next(&stage).await.expect("the first");
        let refused = stage.call("GET", &format!("/v1/sagas/{}/stream", view.saga_id), None).await;
        assert_eq!((refused.status, refused.code()), (503, "too_many_streams"), "{refused:?}");
        let open = |text: &str| text.contains("amends_api_saga_streams_open 1");
        let metrics = stage.call("GET", "/metrics", None).await;
        assert!(open(metrics.body.as_str().expect("text")), "{metrics:?}");

        stage.shutdown.cancel();
        assert!(events.next(&stage).await.is_none(), "the stream ends");
        let serving = stage.serving.take().expect("serving");
        tokio::time::timeout(Duration::from_secs(5), serving).await.expect("ends at once").expect("ends well");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_stream() {
    within(async {
        let mut settings = crate::stage::impatient();
        settings.streams_max = 1;
        let stage = Stage::with(settings).await;
        let orchestrator = stage.orchestrator().await;
        let view = running(&orchestrator);
        let mut events = Events::open(&stage, view.saga_id).await;
        events.next(&stage).await.expect("the first");
        drop(events);
        amends_test_support::wait::until("the stream to be freed", crate::stage::DEADLINE, async || {
            let metrics = stage.call("GET", "/metrics", None).await;
            metrics.body.as_str().expect("text").contains("amends_api_saga_streams_open 0").then_some(())
        })
        .await;
        let mut again = Events::open(&stage, view.saga_id).await;
        assert!(again.next(&stage).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_newest_in_the_end() {
    within(async {
        let stage = Stage::set().await;
        let orchestrator = stage.orchestrator().await;
        let mut view = running(&orchestrator);
        // Large enough that the sockets' buffers cannot hold them all.
        view.input = json!({"padding": "x".repeat(200_000)});
        let mut events = Events::open(&stage, view.saga_id).await;
        for count in 2..=200 {
            view.event_count = count;
            publish(&stage, &view).await;
        }
        view.event_count = 201;
        view.status = SagaStatus::Completed;
        publish(&stage, &view).await;
        let mut counts = Vec::new();
        while let Some(view) = events.next(&stage).await {
            counts.push(view.event_count);
        }
        assert_eq!(counts.last(), Some(&201));
        assert!(counts.is_sorted(), "{counts:?}");
    })
    .await;
}
