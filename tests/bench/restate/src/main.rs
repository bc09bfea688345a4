//! The benchmark's four steps on Restate, in both ways they can be written there: as four services that a handler calls in turn, which is
//! what a saga over four workers is, and as four local steps of one handler. Nothing is done in any of them.

use std::time::Instant;

use restate_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// What a job and each of its steps are given.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    order_id: String,
    amount: String,
}

/// What a step, and the job, answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Done {
    reference: String,
}

fn done() -> Json<Done> {
    Json(Done { reference: "R-1".to_owned() })
}

macro_rules! step {
    ($name:ident) => {
        struct $name;

        #[service]
        impl $name {
            #[handler]
            async fn work(&self, _: Context<'_>, _: Json<Order>) -> HandlerResult<Json<Done>> {
                Ok(done())
            }
        }
    };
}

step!(One);
step!(Two);
step!(Three);
step!(Four);

/// Calls the four services in turn.
struct Services;

#[service]
impl Services {
    #[handler]
    async fn run(&self, ctx: Context<'_>, order: Json<Order>) -> HandlerResult<Json<Done>> {
        let order = order.into_inner();
        ctx.service_client::<OneClient>().work(Json(order.clone())).call().await?;
        ctx.service_client::<TwoClient>().work(Json(order.clone())).call().await?;
        let third = ctx.service_client::<ThreeClient>().work(Json(order.clone())).call().await?.into_inner();
        let last = Order { order_id: order.order_id, amount: third.reference };
        let fourth = ctx.service_client::<FourClient>().work(Json(last)).call().await?;
        Ok(fourth)
    }
}

/// Runs four steps of its own, each recorded before the next.
struct Local;

#[service]
impl Local {
    #[handler]
    async fn run(&self, ctx: Context<'_>, _: Json<Order>) -> HandlerResult<Json<Done>> {
        for step in ["one", "two", "three"] {
            ctx.run(async || Ok(done())).name(step).await?;
        }
        Ok(ctx.run(async || Ok(done())).name("four").await?)
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let began = Instant::now();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = Endpoint::builder().bind(One).bind(Two).bind(Three).bind(Four).bind(Services).bind(Local).build();
    // The line by which the benchmark knows that a process of its own serves.
    let (ready_ms, port) = (began.elapsed().as_millis(), listener.local_addr()?.port());
    println!("{{\"ready_ms\":{ready_ms},\"port\":{port}}}");
    HttpServer::new(endpoint).serve(listener).await;
    Ok(())
}
