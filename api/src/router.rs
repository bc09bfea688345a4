//! All routes and the OpenAPI document, put together from the same handlers.

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi::{Document, complete};
use crate::problems::{no_such_method, no_such_route};
use crate::routes::{
    bulk, dead_letters, definitions, events, invoices, notifications, operate, operations, payments, registrations,
    sagas, schedules, search, signals, stream, workers,
};
use crate::state::Api;
use crate::telemetry::{bound, observe};

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(operations::get_index))
        .routes(routes!(operations::get_health))
        .routes(routes!(operations::get_readiness))
        .routes(routes!(operations::get_metrics))
        .routes(routes!(operations::get_openapi))
        .routes(routes!(events::create_event, events::list_events))
        .routes(routes!(events::get_event, events::update_event))
        .routes(routes!(events::publish_event))
        .routes(routes!(events::close_event))
        .routes(routes!(events::cancel_event))
        .routes(routes!(registrations::get_availability))
        .routes(routes!(registrations::create_registration, registrations::list_registrations))
        .routes(routes!(registrations::get_registration))
        .routes(routes!(registrations::cancel_registration))
        .routes(routes!(payments::list_payments))
        .routes(routes!(payments::receive_webhook))
        .routes(routes!(invoices::list_invoices))
        .routes(routes!(invoices::get_invoice))
        .routes(routes!(notifications::list_notifications))
        .routes(routes!(sagas::start_saga, search::list_sagas))
        .routes(routes!(search::count_sagas))
        .routes(routes!(search::get_saga_counts))
        .routes(routes!(sagas::get_saga))
        .routes(routes!(sagas::get_saga_history))
        .routes(routes!(sagas::cancel_saga))
        .routes(routes!(operate::pause_saga))
        .routes(routes!(operate::resume_saga))
        .routes(routes!(operate::retry_saga))
        .routes(routes!(operate::retry_saga_from))
        .routes(routes!(operate::edit_saga_input))
        .routes(routes!(signals::signal_saga))
        .routes(routes!(operate::skip_saga))
        .routes(routes!(operate::resolve_saga))
        .routes(routes!(operate::terminate_saga))
        .routes(routes!(operate::get_compensation_preview))
        .routes(routes!(stream::stream_saga))
        .routes(routes!(schedules::create_schedule, schedules::list_schedules))
        .routes(routes!(schedules::get_schedule, schedules::change_schedule, schedules::delete_schedule))
        .routes(routes!(schedules::pause_schedule))
        .routes(routes!(schedules::resume_schedule))
        .routes(routes!(schedules::run_schedule))
        .routes(routes!(bulk::start_bulk_operation, bulk::list_bulk_operations))
        .routes(routes!(bulk::get_bulk_operation))
        .routes(routes!(bulk::pause_bulk_operation))
        .routes(routes!(bulk::resume_bulk_operation))
        .routes(routes!(bulk::cancel_bulk_operation))
        .routes(routes!(definitions::list_definitions))
        .routes(routes!(definitions::get_definition))
        .routes(routes!(workers::list_workers))
        .routes(routes!(workers::list_queues))
        .routes(routes!(dead_letters::list_dead_letters))
        .routes(routes!(dead_letters::get_dead_letter))
        .routes(routes!(dead_letters::redrive_dead_letter))
        .routes(routes!(dead_letters::discard_dead_letter))
}

/// The OpenAPI document of what [`router`] serves.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let (_, document) = described().split_for_parts();
    complete(document)
}

/// Everything that is served.
pub fn router(api: Api) -> Router {
    let (routes, _) = described().split_for_parts();
    routes
        .method_not_allowed_fallback(no_such_method)
        .fallback(no_such_route)
        .layer(from_fn_with_state(api.clone(), bound))
        .layer(from_fn_with_state(api.clone(), observe))
        .with_state(api)
}
