//! All routes on one page, each with its limit, its time, and the size of its body.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use axum::{Json, Router};
use haul_shared::config::Mode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{identify, identify_by_address};
use crate::compression::compress;
use crate::config::CorsOrigins;
use crate::limits::{Class, limit};
use crate::routes::{
    batch, downloads, events, files, health, library, list, metadata, operators, plan, playlist_list, playlist_zip,
    playlists, thumbnail, usage, webhook,
};
use crate::{compat, error, host, observe, openapi, page};

/// Bytes of a request's body.
pub(crate) const LARGEST_BODY: usize = 64 * 1024;
/// For an answer that waits for nothing but the store.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// For an answer that waits up to a minute for a change or a worker.
const PATIENT: Duration = Duration::from_secs(75);

/// The page to try the API brings its own scripts, none of them inline, and styles, some of which are; it talks to us and to nobody else.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";
/// Everything else is data.
const DATA_POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of the API, and those of the listener for operators.
pub struct Routers {
    /// For clients.
    pub public: Router,
    /// For operators.
    pub admin: Router,
}

/// Mounts everything.
pub fn routers(app: &Arc<App>) -> Routers {
    let charged = |class, time| {
        ServiceBuilder::new()
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, time))
            .layer(from_fn_with_state((Arc::clone(app), class), limit))
    };

    let queueing = OpenApiRouter::new()
        .routes(routes!(downloads::submit))
        .routes(routes!(downloads::retry))
        // it makes us call a stranger
        .routes(routes!(webhook::redeliver))
        .route_layer(charged(Class::Downloads, SOON));
    // it may have to look at the list first, for which it charges by itself
    let listing =
        OpenApiRouter::new().routes(routes!(playlists::submit)).route_layer(charged(Class::Downloads, PATIENT));
    let looking = OpenApiRouter::new()
        .routes(routes!(metadata::look))
        .routes(routes!(plan::plan))
        .route_layer(charged(Class::Metadata, PATIENT));
    let waiting = OpenApiRouter::new()
        .routes(routes!(downloads::show))
        .routes(routes!(playlists::show))
        .route_layer(charged(Class::Reads, PATIENT));
    let reading = OpenApiRouter::new()
        // a batch charges each of its items to the limit of downloads, beside its own reading
        .routes(routes!(batch::submit_all))
        .routes(routes!(list::list))
        .routes(routes!(library::annotate))
        .routes(routes!(downloads::remove))
        .routes(routes!(downloads::cancel))
        .routes(routes!(playlist_list::list))
        .routes(routes!(playlists::remove))
        .routes(routes!(playlists::cancel))
        .routes(routes!(playlist_zip::zip))
        // the time is for its head: events come for as long as the job takes
        .routes(routes!(events::events))
        .routes(routes!(files::link))
        .routes(routes!(files::content))
        .routes(routes!(thumbnail::thumbnail))
        .routes(routes!(files::subtitles))
        .routes(routes!(metadata::thumbnail))
        .routes(routes!(webhook::show))
        .routes(routes!(metadata::forget))
        .routes(routes!(usage::usage))
        .route_layer(charged(Class::Reads, SOON));
    let numbers = || {
        let stats = OpenApiRouter::new().routes(routes!(operators::stats));
        stats.route_layer(charged(Class::Reads, SOON))
    };
    let guarded = |api: OpenApiRouter<Arc<App>>| {
        let guard = ServiceBuilder::new()
            .layer(from_fn_with_state(Arc::clone(app), identify))
            .layer(RequestBodyLimitLayer::new(LARGEST_BODY));
        api.route_layer(guard)
    };
    let health = || OpenApiRouter::new().routes(routes!(health::alive)).routes(routes!(health::ready));
    let metrics = || Router::new().route("/metrics", get(operators::metrics));

    let is_public = app.config.mode == Mode::Public;
    let mut api = queueing.merge(listing).merge(looking).merge(waiting).merge(reading);
    if !is_public {
        api = api.merge(numbers());
    }
    let described = OpenApiRouter::with_openapi(openapi::document()).merge(guarded(api)).merge(health());
    let (routes, document) = described.split_for_parts();
    let document = openapi::complete(document);
    let files = Router::new().route("/files/{*key}", get(files::signed)).route_layer(
        ServiceBuilder::new()
            .layer(from_fn_with_state(Arc::clone(app), identify_by_address))
            .layer(charged(Class::Reads, SOON)),
    );
    let docs = Router::new()
        .route(openapi::PATH, get(|| async move { Json(document) }))
        .merge(openapi::page())
        .route_layer(default_header(header::CONTENT_SECURITY_POLICY, DOCS_POLICY));

    let page = page::for_visitors()
        .route_layer(charged(Class::Reads, SOON))
        .merge(page::queueing().route_layer(charged(Class::Downloads, SOON)))
        .route_layer(from_fn_with_state(Arc::clone(app), page::receive))
        .route_layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(Arc::clone(app), page::refused))
                .layer(RequestBodyLimitLayer::new(LARGEST_BODY)),
        )
        .merge(page::open())
        .route_layer(from_fn_with_state(Arc::clone(app), page::guard));

    let mut public = routes.merge(files).merge(docs).merge(page::files()).merge(page);
    if !is_public {
        public = public.merge(metrics());
    }
    let (admin, _) = guarded(numbers()).merge(health()).split_for_parts();
    let public = finish(app, public, cors(&app.config.cors), error::as_problem);
    let dialects = compat::dialects(app).into_iter().map(|it| {
        let router = finish(app, it.routes, it.cors, it.write);
        (it.mount, it.tongue, router)
    });
    Routers {
        public: compat::beside(public, dialects.collect()),
        admin: finish(app, admin.merge(metrics()), None, error::as_problem),
    }
}

/// Puts around all routes what every answer has, the first outermost. In one piece, as at the routes: axum makes a box
/// of each `layer` and copies all boxes within for every request.
fn finish(app: &Arc<App>, router: Router<Arc<App>>, cors: Option<CorsLayer>, write: error::Writer) -> Router {
    let around = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(app), observe::observe))
        .layer(default_header(header::CONTENT_SECURITY_POLICY, DATA_POLICY))
        .layer(default_header(header::REFERRER_POLICY, "no-referrer"))
        .layer(default_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(from_fn(compress))
        .option_layer(cors)
        .layer(from_fn_with_state(write, error::render))
        .layer(CatchPanicLayer::custom(error::of_panic))
        .layer(from_fn(host::named_once));
    router.layer(around).with_state(Arc::clone(app))
}

/// A header for answers that do not have it.
fn default_header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// Who may call from a page of another origin; nobody unless it was configured.
fn cors(origins: &CorsOrigins) -> Option<CorsLayer> {
    let origins = allowed(origins)?;
    let exposed = [
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        header::AGE,
        header::CONTENT_DISPOSITION,
        header::CONTENT_RANGE,
        observe::REQUEST_ID,
        HeaderName::from_static("haul-cache"),
        HeaderName::from_static("x-ratelimit-limit"),
        HeaderName::from_static("x-ratelimit-remaining"),
        HeaderName::from_static("x-ratelimit-reset"),
    ];
    let sent = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_NONE_MATCH,
        header::IF_RANGE,
        header::RANGE,
        observe::REQUEST_ID,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("last-event-id"),
    ];
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(sent)
        .expose_headers(exposed)
        .max_age(Duration::from_secs(600));
    Some(layer)
}

/// The origins that are let in; `None`: nobody's.
pub(crate) fn allowed(origins: &CorsOrigins) -> Option<AllowOrigin> {
    match origins {
        CorsOrigins::Any => Some(AllowOrigin::from(Any)),
        CorsOrigins::These(list) if list.is_empty() => None,
        CorsOrigins::These(list) => {
            Some(AllowOrigin::list(list.iter().filter_map(|origin| HeaderValue::from_str(origin).ok())))
        }
    }
}
