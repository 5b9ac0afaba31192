//! The description of the API, made from the handlers, and the page to try it.

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_swagger_ui::{Config, SwaggerUi};

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

/// The page, with all that it needs inside this program.
#[must_use]
pub fn page() -> SwaggerUi {
    SwaggerUi::new("/docs").config(Config::from(PATH))
}
