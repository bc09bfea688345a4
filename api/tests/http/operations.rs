//! Health, readiness, figures, index.

use serde_json::json;

use crate::stage::{Stage, within};

#[tokio::test]
async fn readiness_names_what_is_missing() {
    within(async {
        let mut stage = Stage::set().await;
        assert_eq!(stage.call("GET", "/healthz", None).await.status, 200);
        let reply = stage.call("GET", "/readyz", None).await;
        assert_eq!((reply.status, &reply.body["ready"]), (503, &json!(false)), "{reply:?}");
        let missing = reply.body["missing"].to_string();
        assert!(missing.contains("no orchestrator answers") && missing.contains("context billing does not answer"));
        assert!(reply.headers.contains_key("retry-after"));

        stage.play("amends.orc.info", |_, _| Some(Ok(json!({"partition_count": 2, "version": "t"})))).await;
        let parked = json!({"saga_id": "0193a1de-7d41-7cc1-9b5e-0242ac120002", "definition": "later@7",
            "reason": "A newer version wrote it."});
        let standing = json!({"saga_count": 7, "parked_count": 3, "parked": [parked]});
        stage.play("amends.orc.p.1.standing", move |_, _| Some(Ok(standing.clone()))).await;
        stage.play("amends.ctx.>", |_, _| Some(Ok(json!({"items": []})))).await;
        amends_test_support::wait::until("only partition 0", crate::stage::DEADLINE, async || {
            let reply = stage.call("GET", "/readyz", None).await;
            (reply.body["missing"] == json!(["partition 0 has no owner"])).then_some(())
        })
        .await;
        let standing = json!({"saga_count": 0, "parked_count": 0, "parked": []});
        stage.play("amends.orc.p.0.standing", move |_, _| Some(Ok(standing.clone()))).await;
        amends_test_support::wait::until("all to be there", crate::stage::DEADLINE, async || {
            let reply = stage.call("GET", "/readyz", None).await;
            // What is parked is named, and the others are served.
            let parked = json!([
                "saga 0193a1de-7d41-7cc1-9b5e-0242ac120002 of later@7 is parked: A newer version wrote it",
                "2 more sagas are parked",
            ]);
            (reply.status == 200)
                .then(|| assert_eq!(reply.body, json!({"ready": true, "missing": [], "parked": parked})))
        })
        .await;
        stage.server.kill().await;
        amends_test_support::wait::until("NATS to be missed", crate::stage::DEADLINE, async || {
            let reply = stage.call("GET", "/readyz", None).await;
            (reply.body["missing"] == json!(["NATS is not connected"])).then_some(())
        })
        .await;
        assert_eq!(stage.call("GET", "/healthz", None).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn figures_are_by_route_never_by_id() {
    within(async {
        let stage = Stage::set().await;
        stage.orchestrator().await;
        let id = "0193a1de-7d41-7cc1-9b5e-0242ac120002";
        for path in [format!("/v1/sagas/{id}"), "/made/up".to_owned(), "/healthz".to_owned()] {
            stage.call("GET", &path, None).await;
        }
        stage.call("HEAD", "/healthz", None).await;
        stage.send("BREW", "/healthz", &[], Vec::new()).await;
        let metrics = stage.call("GET", "/metrics", None).await;
        let text = metrics.body.as_str().expect("text");
        for line in [
            r#"amends_api_http_requests_total{method="GET",route="/v1/sagas/{saga_id}",status="404"} 1"#,
            r#"amends_api_http_requests_total{method="GET",route="unmatched",status="404"} 1"#,
            r#"amends_api_http_requests_total{method="GET",route="/healthz",status="200"} 1"#,
            r#"amends_api_http_requests_total{method="HEAD",route="/healthz",status="200"} 1"#,
            r#"amends_api_http_requests_total{method="OTHER",route="/healthz",status="405"} 1"#,
            r#"amends_api_http_request_duration_seconds_count{method="GET",route="/healthz",status="200"} 1"#,
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains(id) && !text.contains("made"));
    })
    .await;
}

#[tokio::test]
async fn the_index_leads_only_to_what_is_there() {
    within(async {
        let stage = Stage::set().await;
        let index = stage.call("GET", "/", None).await;
        let links = index.body["links"].as_object().expect("links");
        assert!(links.len() > 5);
        for link in links.values() {
            let link = link.as_str().expect("text");
            assert!(stage.document.template(link).is_some(), "{link}");
        }
    })
    .await;
}
