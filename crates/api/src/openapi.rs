//! The description of the API, made from the handlers, and the page to try it.

mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::routing::get;
use haul_shared::view::EventView;
use utoipa::OpenApi as _;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa_swagger_ui::{Config, serve};

use crate::error::{ApiError, ApiResult, Code};
use webhooks::webhooks;

/// Where the description is.
pub const PATH: &str = "/openapi.json";

/// The description without its routes: the router adds them as it mounts the handlers.
#[must_use]
pub fn document() -> Document {
    #[derive(utoipa::OpenApi)]
    #[openapi(
        info(
            title = "Haul",
            description = "Fetches media: post an address, follow the job, get a link to a verified file.",
            license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
        ),
        tags(
            (name = "downloads", description = "Queue downloads and follow them."),
            (name = "playlists", description = "Queue the entries of a list, and follow them together."),
            (name = "results", description = "Fetch what was made."),
            (name = "metadata", description = "Look before downloading."),
            (name = "webhooks", description = "What receivers are told."),
            (name = "operators", description = "How the service is."),
        ),
        components(schemas(EventView))
    )]
    struct Empty;

    let mut document = Empty::openapi();
    document.webhooks = Some(webhooks());
    let scheme = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Needed where the operator gave out keys."))
            .build(),
    );
    document.components.get_or_insert_default().add_security_scheme("key", scheme);
    // with a key, or without one where none are given out
    document.security = Some(vec![SecurityRequirement::default(), SecurityRequirement::new::<_, _, &str>("key", [])]);
    document
}

/// Completes the description with what is true of all routes and all answers.
#[must_use]
pub fn complete(mut document: Document) -> Document {
    for (path, item) in &mut document.paths.paths {
        let methods = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in methods.into_iter().flatten() {
            if !path.starts_with("/api/") {
                operation.security = Some(Vec::new()); // no key is asked for
                continue;
            }
            let with_body = operation.request_body.is_some();
            let refusals = IN_ANY_ROUTE.iter().chain(WITH_A_BODY.iter().filter(|_| with_body));
            for code in refusals {
                let (status, code, _) = code.row();
                let told = || RefOr::T(refusal(code));
                operation.responses.responses.entry(status.as_str().to_owned()).or_insert_with(told);
            }
        }
    }
    describe_options(&mut document);
    let schemas = document.components.iter_mut().flat_map(|components| &mut components.schemas);
    for (name, schema) in schemas {
        let RefOr::T(Schema::Object(object)) = schema else { continue };
        if name.ends_with("View") {
            // absent values are null, never missing
            let always = object.properties.keys().filter(|key| !SOMETIMES.contains(&(name.as_str(), key.as_str())));
            object.required = always.cloned().collect();
        } else if READ.contains(&name.as_str()) {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
    document
}

/// What every route below `/api` may refuse with.
const IN_ANY_ROUTE: [Code; 4] = [Code::Unauthorized, Code::InvalidRequest, Code::RateLimited, Code::ServiceUnavailable];
/// And those that read a body.
const WITH_A_BODY: [Code; 4] =
    [Code::MalformedJson, Code::RequestTimeout, Code::PayloadTooLarge, Code::UnsupportedMediaType];
/// What is shown to admins only, and what only some have asked for.
const SOMETIMES: [(&str, &str); 3] =
    [("ErrorView", "detail"), ("ResultView", "delivery_reason"), ("ResultView", "subtitles")];
/// The schemas of bodies that are read; an unknown key of theirs is refused.
const READ: [&str; 11] = [
    "DownloadRequest",
    "BatchRequest",
    "MetadataRequest",
    "LibraryRequest",
    "Clip",
    "Subtitles",
    "SponsorBlock",
    "Webhook",
    "PlaylistRequest",
    "PlaylistRange",
    "PlaylistOptions",
];
/// What a request for a download says, and one for a playlist does not: each entry has its own.
const OF_EACH_ENTRY: [&str; 2] = ["url", "playlist_index"];

/// What the downloads of a playlist may be told is what one alone may.
fn describe_options(document: &mut Document) {
    let Some(components) = &mut document.components else { return };
    let Some(RefOr::T(Schema::Object(request))) = components.schemas.get("DownloadRequest").cloned() else { return };
    if let Some(RefOr::T(Schema::Object(options))) = components.schemas.get_mut("PlaylistOptions") {
        options.properties = request.properties;
        options.properties.retain(|name, _| !OF_EACH_ENTRY.contains(&name.as_str()));
    }
}

fn refusal(code: &str) -> Response {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(format!("`{code}`")).content("application/problem+json", problem).build()
}

/// The page, with all that it needs inside this program. `/docs` itself is the page, not a way to it.
pub fn page<S: Clone + Send + Sync + 'static>() -> Router<S> {
    // `none`: the page would ask a validator on the internet about the description
    let config = Arc::new(Config::from(PATH).validator_url("none"));
    let asset = {
        let config = Arc::clone(&config);
        move |Path(name): Path<String>| async move { file(&name, config) }
    };
    let index = |base: &'static str| {
        let config = Arc::clone(&config);
        // the page names its assets relative to itself
        let put_base = move |html: String| html.replacen("<head>", &format!("<head><base href=\"{base}\">"), 1);
        move || async move {
            file("index.html", config).map(|(kind, html)| (kind, put_base(String::from_utf8_lossy(&html).into_owned())))
        }
    };
    Router::new()
        .route("/docs", get(index("docs/")))
        .route("/docs/", get(index("./")))
        .route("/docs/{*asset}", get(asset))
}

type ContentType = [(HeaderName, String); 1];

/// A file of the page.
fn file(name: &str, config: Arc<Config<'_>>) -> ApiResult<(ContentType, Vec<u8>)> {
    let found = serve(name, config).map_err(|error| ApiError::new(Code::Internal).because(error.as_ref()))?;
    let file = found.ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(([(header::CONTENT_TYPE, file.content_type)], file.bytes.into_owned()))
}
