//! What a download would fetch, without fetching it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use haul_shared::job::PlanSpec;
use haul_shared::view::DownloadRequest;

use super::metadata::{NoLook, answered};
use crate::app::App;
use crate::auth::Caller;
use crate::body::JsonBody;
use crate::error::{ApiResult, Problem};
use crate::metadata::PlanView;
use crate::query::NoParams;
use crate::request::read;

/// What a download would fetch, and what would come of it. The site is asked; no byte of its media is fetched.
#[utoipa::path(
    post, path = "/api/v1/plan", tag = "metadata", request_body = DownloadRequest,
    responses(
        (status = 200, description = "What would be fetched.", body = PlanView, headers(
            ("Haul-Cache" = String, description = "`hit` or `miss`"),
            ("Age" = u64, description = "How old it is, in seconds."),
        )),
        (status = 403, description = "`private`, `login_required`, `age_restricted`, `geo_blocked`, `drm_protected`; `forbidden`: a format or a site that the key may not order", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "`invalid_request`, `unsupported_url`, `egress_denied`; what such a download would fail with: `format_unavailable`, `live_not_supported`, `too_large`, `too_long`", body = Problem, content_type = "application/problem+json"),
        NoLook,
    )
)]
pub async fn plan(
    State(app): State<Arc<App>>,
    caller: Caller,
    _: NoParams,
    JsonBody(body): JsonBody,
) -> ApiResult<Response> {
    let signs = caller.signing.is_some();
    let order = read(&body, &app.rules, signs).inspect_err(|refusal| app.count_refusal(refusal))?;
    caller.allowance.permits(&order.source, order.request.format)?;
    let region = order.request.region.clone().unwrap_or_else(|| caller.region.clone());
    let order = PlanSpec::of(order.spec(&caller.jars), region);
    answered(&app, app.metadata.plan(&order, &caller).await)
}
