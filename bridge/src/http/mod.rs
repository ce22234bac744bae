//! Everything a node serves by HTTP, composed: signalling's routes, the web client, the operator feed, health, metrics.
//!
//! [`web`] serves the embedded client, [`status`] and [`drain`] the operator routes, [`server`] owns listener and connections (plain
//! or TLS). What may not live here: the client protocol (that is `signaling`) and anything that changes the mesh.

pub mod drain;
pub mod server;
pub mod status;
pub mod web;

use axum::Router;
use drain::DrainDesk;
use signaling::Signaling;
use status::Operations;

/// All routes of the main listener. `metrics` is false where they have a listener of their own.
pub fn router(signaling: &Signaling, operations: Operations, desk: DrainDesk, metrics: bool) -> Router {
    let own = if metrics {
        status::router().merge(status::metrics_router())
    } else {
        status::router()
    };
    signaling
        .router()
        .merge(own.with_state(operations))
        .merge(drain::router().with_state(desk))
        .merge(web::router())
}
