//! The shape of a job in every state.

use serde_json::{Value, json};

use super::*;
use crate::ids::{ClientKey, Fence, JobId, Ticket, WorkerId};
use crate::job::{Beside, FailureKind, Stored};
use crate::storage::ObjectKey;

const AT: &str = "2026-11-20T12:00:00.5Z";

fn at() -> Timestamp {
    AT.parse().unwrap()
}

fn job(state: JobState) -> Job {
    Job {
        ticket: "5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11".parse::<Ticket>().unwrap(),
        client: ClientKey::of_address([192, 0, 2, 1].into()),
        request: Vec::new(),
        created: at(),
        region: "eu".parse().unwrap(),
        state,
        attempt: 1,
        max_attempts: 4,
        started: None,
        progress: None,
        media: None,
        library: Library::default(),
        ytdlp: None,
        trace: None,
    }
}

fn artifact() -> Artifact {
    Artifact {
        object: ObjectKey::new(JobId::new(), Fence(1), "mp4"),
        stem: "A talk".to_owned(),
        extension: "mp4".to_owned(),
        size_bytes: 1,
        content_type: "video/mp4".to_owned(),
        sha256: "00".repeat(32),
        duration_seconds: Some(12.0),
        width: Some(1280),
        height: Some(720),
        vcodec: Some("h264".to_owned()),
        acodec: Some("aac".to_owned()),
        container: "mp4".to_owned(),
        asked: Some("1080p".to_owned()),
        got: Some("720p".to_owned()),
        delivery: Delivery::Ytdlp,
        reason: "quirks".to_owned(),
        is_recording: false,
        beside: Beside::default(),
    }
}

fn shown_to(job: &Job, request: DownloadRequest, admin: bool) -> Value {
    let base = Url::parse("https://haul.example/sub/").unwrap();
    serde_json::to_value(JobView::of(job, request, &base, admin)).unwrap()
}

fn shown(state: JobState) -> Value {
    shown_to(&job(state), DownloadRequest::of_url("https://media.example/v".to_owned()), false)
}

#[test]
fn nothing_is_ever_missing() {
    let keys = [
        "id",
        "status",
        "stage",
        "progress",
        "queue_position",
        "attempt",
        "max_attempts",
        "next_attempt_at",
        "worker",
        "ytdlp",
        "region",
        "created_at",
        "started_at",
        "finished_at",
        "expires_at",
        "request",
        "media",
        "result",
        "error",
        "library",
        "links",
    ];
    let view = shown(JobState::Queued { position: 3 });
    let mut present: Vec<&str> = view.as_object().unwrap().keys().map(String::as_str).collect();
    present.sort_unstable();
    let mut expected = keys.to_vec();
    expected.sort_unstable();
    assert_eq!(present, expected);
    let nothing = json!({
        "percent": 0.0, "downloaded_bytes": null, "total_bytes": null, "speed_bytes_per_second": null, "eta_seconds": null,
    });
    assert_eq!(view["progress"], nothing);
    assert_eq!(view["library"], json!({ "notes": null, "favourite": false, "rating": null, "downloads": 0 }));
    assert_eq!(view["queue_position"], 3);
    assert_eq!(view["created_at"], "2026-11-20T12:00:00.500Z");
    let this = "https://haul.example/sub/api/v1/downloads/5b0c1f0e-4f0b-4c57-9a52-3b1f2f3a7c11";
    let events = format!("{this}/events");
    let links = json!({ "self": this, "events": events, "link": null, "content": null, "thumbnail": null });
    assert_eq!(view["links"], links);
}

#[test]
fn a_running_job_has_stage_and_worker_and_never_all_of_its_percent() {
    let progress = Progress { percent: 99.96, downloaded_bytes: Some(7), ..Progress::at(Stage::Upload, 0.5) };
    let mut running = job(JobState::Running { worker: WorkerId::stored("w-eu-1") });
    running.progress = Some(progress);
    let view = shown_to(&running, DownloadRequest::of_url(String::new()), false);
    assert_eq!(
        (&view["status"], &view["stage"], &view["worker"]),
        (&json!("running"), &json!("upload"), &json!("w-eu-1"))
    );
    assert_eq!((&view["progress"]["percent"], &view["progress"]["downloaded_bytes"]), (&json!(99.9), &json!(7)));
}

#[test]
fn a_job_that_waits_for_a_retry_is_queued_and_says_why() {
    let last = Some(Failure::new(FailureKind::Network, "ssl handshake"));
    let view = shown(JobState::Waiting { due: at(), last });
    assert_eq!((&view["status"], &view["queue_position"]), (&json!("queued"), &Value::Null));
    assert_eq!(view["next_attempt_at"], "2026-11-20T12:00:00.500Z");
    let error = json!({ "code": "network", "message": "The connection to the site failed.", "retryable": true });
    assert_eq!(view["error"], error);
}

#[test]
fn a_job_that_did_not_make_it_stays_where_its_last_attempt_came_to() {
    // It was shown with 0 %, so that percent fell within the attempt.
    let failure = || Failure::new(FailureKind::Network, "reset");
    for state in [
        JobState::Queued { position: 1 },
        JobState::Waiting { due: at(), last: Some(failure()) },
        JobState::Failed { failure: failure(), finished: at() },
        JobState::Cancelled { at: at() },
        JobState::Expired { artifact: None, finished: at(), at: at() },
    ] {
        let mut job = job(state);
        let speed_bytes_per_second = Some(5);
        job.progress = Some(Progress { percent: 41.5, speed_bytes_per_second, ..Progress::at(Stage::Download, 0.5) });
        let view = shown_to(&job, DownloadRequest::of_url(String::new()), false);
        assert_eq!((&view["progress"]["percent"], &view["stage"]), (&json!(41.5), &Value::Null));
        assert_eq!(view["progress"]["speed_bytes_per_second"], Value::Null);
    }
}

#[test]
fn what_a_program_said_is_for_admins() {
    let failed =
        JobState::Failed { failure: Failure::new(FailureKind::GeoBlocked, "not in your land"), finished: at() };
    assert_eq!(shown(failed.clone())["error"].get("detail"), None);
    let view = shown_to(&job(failed), DownloadRequest::of_url(String::new()), true);
    assert_eq!(view["error"]["detail"], "not in your land");
    assert_eq!((&view["status"], &view["finished_at"]), (&json!("failed"), &json!("2026-11-20T12:00:00.500Z")));
}

#[test]
fn why_bytes_took_their_way_is_for_admins() {
    let completed = JobState::Completed { artifact: artifact(), finished: at(), expires: at() };
    assert_eq!(shown(completed.clone())["result"].get("delivery_reason"), None);
    let view = shown_to(&job(completed), DownloadRequest::of_url(String::new()), true);
    assert_eq!((&view["result"]["delivery"], &view["result"]["delivery_reason"]), (&json!("ytdlp"), &json!("quirks")));
}

#[test]
fn a_completed_job_can_be_fetched_under_the_name_its_client_chose() {
    let completed = JobState::Completed { artifact: artifact(), finished: at(), expires: at() };
    let view = shown(completed.clone());
    assert_eq!((&view["progress"]["percent"], &view["result"]["filename"]), (&json!(100.0), &json!("A talk.mp4")));
    assert_eq!((&view["result"]["asked"], &view["result"]["got"]), (&json!("1080p"), &json!("720p")));
    for link in ["link", "content"] {
        assert!(view["links"][link].as_str().unwrap().ends_with(&format!("/{link}")));
    }
    let request = DownloadRequest { filename: Some("../x:y".to_owned()), ..DownloadRequest::of_url(String::new()) };
    assert_eq!(shown_to(&job(completed), request, false)["result"]["filename"], "x-y.mp4");
}

/// Fault: who asked at the end, and not before, was told of no byte.
#[test]
fn the_end_of_a_download_tells_its_bytes() {
    let (artifact, bytes) = (artifact(), json!(artifact().size_bytes));
    let ends = [
        JobState::Completed { artifact: artifact.clone(), finished: at(), expires: at() },
        JobState::Expired { artifact: Some(artifact), finished: at(), at: at() },
    ];
    for end in ends {
        let progress = &shown(end)["progress"];
        assert_eq!((&progress["downloaded_bytes"], &progress["total_bytes"]), (&bytes, &bytes));
    }
}

#[test]
fn an_expired_job_shows_what_there_was_and_leads_nowhere() {
    let object = ObjectKey::new(JobId::new(), Fence(1), "mp4").subtitles(0);
    let text = Text {
        asked: "en".to_owned(),
        language: Some("en-GB".to_owned()),
        automatic: false,
        stored: Some(Stored { object, size_bytes: 1 }),
    };
    let artifact = Artifact { beside: Beside { subtitles: vec![text], ..Beside::default() }, ..artifact() };
    let asked: DownloadRequest = serde_json::from_str(r#"{"url": "", "subtitles": {"languages": ["en"]}}"#).unwrap();
    let shown = |state| shown_to(&job(state), asked.clone(), false);

    let view = shown(JobState::Completed { artifact: artifact.clone(), finished: at(), expires: at() });
    let link = view["result"]["subtitles"][0]["link"].as_str().unwrap();
    assert!(link.ends_with("/subtitles/en-GB"), "{link}");

    let view = shown(JobState::Expired { artifact: Some(artifact), finished: at(), at: at() });
    assert_eq!((&view["status"], &view["links"]["link"]), (&json!("expired"), &Value::Null));
    assert_eq!(view["result"]["size_bytes"], 1);
    // Its subtitles still had one.
    let gone = json!({ "asked": "en", "language": "en-GB", "automatic": false, "link": null });
    assert_eq!(view["result"]["subtitles"][0], gone);
}
