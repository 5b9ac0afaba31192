//! The command line, as it is shipped, before the service and before servers that are none of ours.

mod asking;
mod getting;
mod going_on;
mod load;
mod shells;
mod strangers;

/// Nobody asks for it: downloads of a service without workers wait.
const MEDIA: &str = "http://127.0.0.1/v.mp4";

/// Where the content of a job is.
fn content(job: &str) -> String {
    format!("{job}/content")
}

/// The id at the end of a job's path.
fn id(job: &str) -> &str {
    job.rsplit('/').next().unwrap_or_default()
}
