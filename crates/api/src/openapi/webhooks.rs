//! The messages that workers send, described as what a receiver has to take: one for each end that is told.

use haul_shared::job::StateKind;
use haul_shared::webhook::event;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AllOfBuilder, Object, ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Paths, Ref, Required, Response};

/// An end of each name, and when it comes.
const ENDS: [(StateKind, &str); 3] = [
    (StateKind::Completed, "The result of a download is there."),
    (StateKind::Failed, "A download failed for good, or its time was over before it was done."),
    (StateKind::Cancelled, "A download was taken back."),
];

/// By the Standard Webhooks specification.
const HEADERS: [(&str, Type, &str); 3] = [
    ("webhook-id", Type::String, "The message: the same in every attempt, and when it is sent again."),
    ("webhook-timestamp", Type::Integer, "When this attempt was made, in seconds since the epoch."),
    ("webhook-signature", Type::String, "`v1,` and a signature in base64 for each valid secret, a space between two."),
];

/// What follows from an answer.
const ANSWERS: [(&str, &str); 5] = [
    ("2XX", "Taken. Only the head counts, and it has to come within 15 s."),
    ("410", "Not taken, and not tried again."),
    ("429", "Tried again when `Retry-After` says, within an hour."),
    ("503", "Tried again when `Retry-After` says, within an hour."),
    ("default", "Tried again, later each time, for a day. A redirect is not followed."),
];

/// All of them, by the `type` of their body.
pub(super) fn webhooks() -> Paths {
    let told = ENDS.iter().filter_map(|(end, when)| Some((event(*end)?, *when)));
    let paths = PathsBuilder::new();
    told.fold(paths, |paths, (event, when)| paths.path(event, PathItem::new(HttpMethod::Post, message(event, when))))
        .build()
}

fn message(event: &str, when: &str) -> Operation {
    let body = ContentBuilder::new().schema(Some(body(event))).build();
    let body = RequestBodyBuilder::new().content("application/json", body).required(Some(Required::True)).build();
    let operation = OperationBuilder::new()
        .tag("webhooks")
        .operation_id(Some(event.replace('.', "_")))
        .summary(Some(when))
        .description(Some("Sent to the `webhook.url` of the request, at least once."))
        .parameters(Some(HEADERS.map(header)))
        .request_body(Some(body))
        .securities(Some([])); // its signature says who sends it
    ANSWERS
        .iter()
        .fold(operation, |operation, (status, then)| operation.response(*status, Response::new(*then)))
        .build()
}

/// An event, of this name.
fn body(event: &str) -> AllOfBuilder {
    let name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([event]));
    AllOfBuilder::new()
        .item(Ref::from_schema_name("EventView"))
        .item(ObjectBuilder::new().schema_type(Type::Object).property("type", name))
}

fn header((name, of, description): (&str, Type, &str)) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(Object::with_type(of)))
        .build()
}
