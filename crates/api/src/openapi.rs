//! The description of the API, made from the handlers, and the page to try it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, header};
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_swagger_ui::{Config, serve};

use crate::error::{ApiError, ApiResult, Code};

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
            (name = "results", description = "Fetch what was made."),
            (name = "metadata", description = "Look before downloading."),
            (name = "operators", description = "How the service is."),
        )
    )]
    struct Empty;

    let mut document = Empty::openapi();
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
