//! The download request: what a client may ask, checked in full.
//!
//! [`read`] finds every fault of a body at once, because a client that is told one at a time asks once for each.
//! What it returns has all defaults filled in but the region, which depends on who asks; it is kept with the job and shown as `request`.
//!
//! Not here: whether the address may be reached (`shared::egress`), what a request makes of a medium (the worker).

mod fields;
mod list;
mod node;

pub use list::{ListOrder, read_list};
pub use node::Node;

use std::time::Duration;

use haul_shared::cookies::Jars;
use haul_shared::egress::EgressPolicy;
use haul_shared::ids::Region;
use haul_shared::job::{Annotation, DownloadSpec};
use haul_shared::media::SegmentKind;
use haul_shared::source::{SourceUrl, UrlRefusal};
use haul_shared::view::{Clip, DownloadRequest, SponsorBlock, Subtitles, Webhook};

use crate::error::{ApiError, Code, Fault};
use fields::{Fields, Read, flag, language, lines, seconds, text, whole, word};

const FORMATS: &[&str] = &["mp4", "webm", "mkv", "original", "mp3", "m4a", "opus", "flac", "wav"];
const QUALITIES: &[&str] = &["best", "4320p", "2160p", "1440p", "1080p", "720p", "480p", "360p", "240p", "144p"];
const CODECS: &[&str] = &["any", "h264", "h265", "vp9", "av1"];
const FALLBACKS: &[&str] = &["nearest", "strict"];
const PRIORITIES: &[&str] = &["normal", "low"];
const SUBTITLE_MODES: &[&str] = &["embed", "sidecar"];
/// What is wrong with a webhook that nobody could tell from a forged one.
const UNSIGNED: &str = "needs a secret to be signed with, and this caller has none";
/// Where a clip may begin or end, in seconds: some months, more than any medium plays.
const LATEST_SECOND: f64 = 10_000_000.0;

/// Entries of a list that are told, or ordered, at once.
pub const LONGEST_LIST: u32 = 100;

/// Characters of a note.
const LONGEST_NOTES: usize = 2000;

/// What the answer to a request depends on besides the request.
#[derive(Debug, Clone)]
pub struct Rules {
    /// All regions that can be asked for.
    pub regions: Vec<Region>,
    /// The longest life of a result, and the default.
    pub result_ttl: Duration,
    /// Which addresses may be asked for.
    pub egress: EgressPolicy,
}

/// A request without fault.
#[derive(Debug, Clone)]
pub struct Order {
    /// As it is shown.
    pub request: DownloadRequest,
    /// Its address, checked.
    pub source: SourceUrl,
}

impl Order {
    /// What a worker is told, for a caller who may use these jars.
    #[must_use]
    pub fn spec(&self, jars: &Jars) -> DownloadSpec {
        let request = &self.request;
        DownloadSpec {
            url: self.source.clone(),
            cookies: jars.for_url(&self.source),
            format: request.format,
            quality: request.quality,
            codec: request.codec,
            fallback: request.fallback,
            audio_bitrate_kbps: request.audio_bitrate_kbps,
            clip: request.clip.as_ref().map(Clip::wanted).filter(|clip| !clip.is_whole()),
            subtitles: request.subtitles.as_ref().map(Subtitles::wanted),
            sponsorblock: request.sponsorblock.wanted(),
            live_seconds: request.live_seconds,
            embed_metadata: request.embed_metadata,
            embed_chapters: request.embed_chapters,
            embed_thumbnail: request.embed_thumbnail,
            playlist_index: request.playlist_index,
            streaming: request.streaming,
        }
    }
}

/// Reads the body of a download request, of a caller whose webhooks can be signed, or can't.
///
/// # Errors
/// `unsupported_url` or `egress_denied` when an address is the only fault, otherwise `invalid_request` with all.
pub fn read(body: &Node, rules: &Rules, signs: bool) -> Result<Order, ApiError> {
    let mut faults = Vec::new();
    let Some(mut fields) = Fields::of(body, "", &mut faults) else { return Err(ApiError::invalid(faults)) };
    let address = read_url(&mut fields, &rules.egress);
    let webhook = read_webhook(&mut fields, &rules.egress, signs);
    let request = read_options(&mut fields, rules);
    fields.end();
    let both = address.and_then(|address| Ok((address, webhook?)));
    let ((url, source), webhook) = without_fault(both, faults)?;
    Ok(Order { request: DownloadRequest { url, webhook, ..request }, source })
}

/// Reads a body of an address and nothing else.
///
/// # Errors
/// As [`read`].
pub fn read_address(body: &Node, egress: &EgressPolicy) -> Result<SourceUrl, ApiError> {
    let mut faults = Vec::new();
    let Some(mut fields) = Fields::of(body, "", &mut faults) else { return Err(ApiError::invalid(faults)) };
    let address = read_url(&mut fields, egress);
    fields.end();
    without_fault(address, faults).map(|(_, source)| source)
}

/// Reads the body of a batch: the requests in it, each still unread.
///
/// # Errors
/// `invalid_request` unless it has 1 to `most` of them and nothing else.
pub fn read_batch(body: &Node, most: usize) -> Result<&[Node], ApiError> {
    let mut faults = Vec::new();
    let mut items: &[Node] = &[];
    if let Some(mut fields) = Fields::of(body, "", &mut faults) {
        match fields.take_node("downloads") {
            Some(Node::List(list)) if (1..=most).contains(&list.len()) => items = list,
            Some(Node::List(_)) => fields.fault("downloads", format!("must have 1 to {most} items")),
            Some(_) => fields.fault("downloads", "must be a list"),
            None => fields.fault("downloads", "is required"),
        }
        fields.end();
    }
    if faults.is_empty() { Ok(items) } else { Err(ApiError::invalid(faults)) }
}

/// Reads what the holder of a result changes of what they keep beside it.
///
/// # Errors
/// `invalid_request` with all faults.
pub fn read_annotation(body: &Node) -> Result<Annotation, ApiError> {
    let mut faults = Vec::new();
    let mut annotation = Annotation::default();
    if let Some(mut fields) = Fields::of(body, "", &mut faults) {
        let notes = fields.take_or_null("notes", |node| lines(node, 0, LONGEST_NOTES));
        // nothing written is no note
        annotation.notes = notes.map(|notes| notes.filter(|notes| !notes.is_empty()));
        annotation.favourite = fields.take("favourite", flag);
        annotation.rating = fields.take_or_null("rating", |node| whole(node, 1, 5).map(|rating| rating as u8));
        fields.end();
    }
    if faults.is_empty() { Ok(annotation) } else { Err(ApiError::invalid(faults)) }
}

/// Checks an address that came otherwise than in a body, as `/url`.
///
/// # Errors
/// As [`read`].
pub fn check_address(text: &str, egress: &EgressPolicy) -> Result<SourceUrl, ApiError> {
    SourceUrl::parse(text, egress)
        .map_err(|refusal| refused(Some(refusal)).faults(vec![Fault::new("/url", refusal.to_string())]))
}

/// Checks again whom a request wants told, which was right when it was made.
///
/// # Errors
/// As [`read`].
pub fn check_webhook(request: &DownloadRequest, egress: &EgressPolicy, signs: bool) -> Result<(), ApiError> {
    let Some(webhook) = &request.webhook else { return Ok(()) };
    if !signs {
        return Err(ApiError::invalid(vec![Fault::new("/webhook", UNSIGNED)]));
    }
    SourceUrl::parse(&webhook.url, egress)
        .map(drop)
        .map_err(|refusal| refused(Some(refusal)).faults(vec![Fault::new("/webhook/url", refusal.to_string())]))
}

/// The address as sent, and checked. What is wrong is noted as a fault, and what the policy says of it returned.
fn read_url(fields: &mut Fields<'_, '_>, egress: &EgressPolicy) -> Result<(String, SourceUrl), Option<UrlRefusal>> {
    let Some(node) = fields.take_node("url") else {
        fields.fault("url", "is required");
        return Err(None);
    };
    let Node::Text(text) = node else {
        fields.fault("url", "must be a string");
        return Err(None);
    };
    SourceUrl::parse(text, egress).map(|source| (text.clone(), source)).map_err(|refusal| {
        fields.fault("url", refusal.to_string());
        Some(refusal)
    })
}

/// The address, unless there was any fault. Its own code is told only where nothing else is wrong.
fn without_fault<T>(address: Result<T, Option<UrlRefusal>>, faults: Vec<Fault>) -> Result<T, ApiError> {
    match address {
        Ok(address) if faults.is_empty() => Ok(address),
        Err(refusal) if faults.len() == 1 => Err(refused(refusal).faults(faults)),
        Ok(_) | Err(_) => Err(ApiError::invalid(faults)),
    }
}

fn refused(refusal: Option<UrlRefusal>) -> ApiError {
    match refusal {
        None | Some(UrlRefusal::Malformed | UrlRefusal::TooLong) => ApiError::new(Code::InvalidRequest),
        Some(UrlRefusal::Unsupported) => ApiError::new(Code::UnsupportedUrl),
        Some(UrlRefusal::Denied(denied)) => ApiError::new(Code::EgressDenied).because_denied(denied),
    }
}

fn read_options(fields: &mut Fields<'_, '_>, rules: &Rules) -> DownloadRequest {
    let mut request = DownloadRequest::of_url(String::new());
    macro_rules! set {
        ($field:ident, $read:expr) => {
            if let Some(value) = fields.take(stringify!($field), $read) {
                request.$field = value;
            }
        };
    }
    set!(format, |node| word(node, FORMATS));
    set!(quality, |node| word(node, QUALITIES));
    set!(codec, |node| word(node, CODECS));
    set!(fallback, |node| word(node, FALLBACKS));
    set!(audio_bitrate_kbps, |node| whole(node, 32, 320).map(|kbps| kbps as u16));
    request.subtitles = fields.take_object("subtitles", read_subtitles);
    request.sponsorblock = fields.take_object("sponsorblock", read_segments).unwrap_or_default();
    request.live_seconds =
        fields.take_nullable("live_seconds", |node| whole(node, 1, 86_400).map(|seconds| seconds as u32));
    request.clip = fields.take_object("clip", read_clip);
    set!(embed_metadata, flag);
    set!(embed_chapters, flag);
    set!(embed_thumbnail, flag);
    set!(playlist_index, |node| whole(node, 1, 100_000).map(|index| index as u32));
    set!(streaming, flag);
    set!(priority, |node| word(node, PRIORITIES));
    request.filename = fields.take_nullable("filename", |node| text(node, 1, 100));
    request.external_id = fields.take_nullable("external_id", |node| text(node, 1, 128));
    request.tags = fields.take_list("tags", 10, |node| text(node, 1, 64)).unwrap_or_default();
    request.region = fields.take("region", |node| known_region(node, rules));
    let longest = rules.result_ttl.as_secs();
    request.expires_in = fields.take("expires_in", |node| whole(node, 60.min(longest), longest)).unwrap_or(longest);
    request
}

fn known_region(node: &Node, rules: &Rules) -> Read<Region> {
    let Node::Text(name) = node else { return Err("must be a string".into()) };
    rules.regions.iter().find(|region| region.as_str() == name).cloned().ok_or_else(|| "is not a known region".into())
}

/// Whom to tell. What is wrong is noted as a fault, and what the policy says of the address returned.
fn read_webhook(
    fields: &mut Fields<'_, '_>,
    egress: &EgressPolicy,
    signs: bool,
) -> Result<Option<Webhook>, Option<UrlRefusal>> {
    let Some(read) = fields.take_object("webhook", |inner| read_url(inner, egress)) else { return Ok(None) };
    if !signs {
        fields.fault("webhook", UNSIGNED);
        return Err(None);
    }
    read.map(|(url, _)| Some(Webhook { url }))
}

fn read_clip(fields: &mut Fields<'_, '_>) -> Clip {
    let second = |node: &Node| seconds(node, LATEST_SECOND);
    let start = fields.take("start", second);
    let end = fields.take_nullable("end", second);
    if end.is_some_and(|end| end <= start.unwrap_or(0.0)) {
        fields.fault("end", "must be after start");
    }
    Clip { start: start.unwrap_or(0.0), end, exact: fields.take("exact", flag).unwrap_or(false) }
}

fn read_subtitles(fields: &mut Fields<'_, '_>) -> Subtitles {
    let before = fields.fault_count();
    let languages = fields.take_list("languages", 20, language).unwrap_or_default();
    if languages.is_empty() && fields.fault_count() == before {
        fields.fault("languages", "must name at least one language");
    }
    Subtitles {
        languages,
        automatic: fields.take("automatic", flag).unwrap_or(false),
        mode: fields.take("mode", |node| word(node, SUBTITLE_MODES)).unwrap_or_default(),
    }
}

fn read_segments(fields: &mut Fields<'_, '_>) -> SponsorBlock {
    let words = SegmentKind::ALL.map(SegmentKind::word);
    // a moment, and a chapter of somebody's, can't be left out
    let removable: Vec<&str> =
        words.iter().copied().filter(|word| !matches!(*word, "poi_highlight" | "chapter")).collect();
    let mut list = |key, words: &[&str]| {
        let read = |node: &Node| word::<SegmentKind>(node, words).map(|kind| kind.word().to_owned());
        fields.take_list(key, SegmentKind::ALL.len(), read).unwrap_or_default()
    };
    SponsorBlock { mark: list("mark", &words), remove: list("remove", &removable) }
}

#[cfg(test)]
mod tests;
