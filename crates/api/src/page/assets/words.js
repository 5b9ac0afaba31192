// What people are told: why a job waits, where it stands, and for every code what happened and what to do.

import { bytes, clock, moment, ordinal, until, wait } from "./format.js";

// A short title, and what to do. The API's own sentence is among the details.
const CODES = {
  unsupported_url: ["Nothing to download there", "Check the link: it should lead to a page with media."],
  unavailable: ["Gone", "It was removed, or the link is mistyped."],
  private: ["Private", "Only its owner can share it."],
  login_required: ["Needs a login", "Whoever runs this service can add cookies of the site."],
  age_restricted: ["Age check", "Whoever runs this service can add cookies of an account that passed it."],
  geo_blocked: ["Not offered here", "Try another region, if this service has one."],
  drm_protected: ["Copy protection", "Such media cannot be downloaded."],
  live_not_supported: ["A live stream", "Say under More options how long to record."],
  not_yet_available: ["Not out yet", "Try again once it is published."],
  format_unavailable: ["Not in this format", "Take another format or quality, or allow what comes nearest."],
  too_large: ["Too large", "Take a lower quality."],
  too_long: ["Too long", "This service has a limit on length."],
  egress_denied: ["Out of bounds", "This service may not reach that address."],
  invalid_media: ["Not media", "What came is no video or sound; check the link."],
  site_rate_limited: ["The site is busy", "Try again in a while."],
  site_blocked: ["The site refused", "Try again later, or with cookies of the site."],
  network: ["No connection to the site", "Check that the site works, then retry."],
  timeout: ["Took too long", "Retry, or take a lower quality."],
  stalled: ["The site stopped sending", "Retry."],
  corrupt_media: ["Arrived damaged", "Retry."],
  worker_lost: ["The machine was lost", "Retry: another one takes over."],
  disk_full: ["No room left", "Whoever runs this service has to make room."],
  storage_unavailable: ["Could not be stored", "Retry in a while."],
  extractor_error: ["The page was not understood", "The site may have changed; retry after the next update."],
  internal: ["A fault of this service", "Retry; if it stays, tell whoever runs it."],
  bad_request: ["Not understood", "Reload this page and try again."],
  malformed_json: ["Not understood", "Reload this page and try again."],
  unauthorized: ["A key is needed", "Enter yours above."],
  forbidden: ["Not allowed", "Your key, or this service, does not allow it."],
  not_found: ["Not there", "It was deleted, or is somebody else's."],
  method_not_allowed: ["Not possible here", "This service may be older than this page; reload it."],
  request_timeout: ["Sent too slowly", "Try again."],
  idempotency_conflict: ["Sent twice, differently", "Try again."],
  not_ready: ["Not finished yet", "Wait until it is completed."],
  cancelled: ["Cancelled", "Retry to start it again."],
  not_retryable: ["Nothing to retry", "Only what failed or was cancelled can be retried."],
  expired: ["Deleted after its time", "Download it again."],
  precondition_failed: ["Changed meanwhile", "Reload this page."],
  payload_too_large: ["Too much at once", "Send fewer links."],
  unsupported_media_type: ["Not understood", "Reload this page and try again."],
  range_not_satisfiable: ["Beyond the end", "Start over."],
  invalid_request: ["Something is not right", "See the marked fields."],
  rate_limited: ["Too fast", "Try again in a moment."],
  client_queue_full: ["Your queue is full", "Wait until some of yours are done."],
  quota_exceeded: ["Enough for today", "Your key may fetch no more until tomorrow."],
  queue_full: ["The queue is full", "Try again in a while."],
  service_unavailable: ["Part of the service is down", "Try again in a while."],
  offline: ["No connection", "Try again."],
};

export function ofCode(code) {
  const [title, advice] = CODES[code] ?? ["It did not work", "Try again."];
  return { title, advice };
}

export const STATUS = {
  queued: "Waiting",
  running: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "Expired",
};

const STAGES = {
  extract: "Looking at the page",
  download: "Downloading",
  process: "Putting the file together",
  verify: "Checking the file",
  upload: "Storing the file",
};

// Why an attempt failed, after "because".
const BECAUSE = {
  site_rate_limited: "the site asked for fewer requests",
  site_blocked: "the site refused",
  network: "the connection to the site failed",
  timeout: "it took too long",
  stalled: "the site stopped sending",
  corrupt_media: "what came was damaged",
  worker_lost: "the machine that worked on it was lost",
  disk_full: "the server ran out of room",
  storage_unavailable: "the result could not be stored",
  extractor_error: "the site's page was not understood",
  internal: "something went wrong here",
};

// Where a job stands, in one line. `deserted`: regions that no worker serves.
export function standing(job, deserted) {
  switch (job.status) {
    case "queued":
      return waiting(job, deserted);
    case "running":
      return running(job);
    case "completed":
      return completed(job);
    case "failed":
      return failed(job);
    case "cancelled":
      return "Cancelled";
    default:
      return "Expired: the result was kept for its time and is deleted";
  }
}

function waiting(job, deserted) {
  if (job.next_attempt_at) {
    const when = wait(until(job.next_attempt_at));
    if (!job.error) return `Waits ${when}: the site is left alone for a while`;
    const because = BECAUSE[job.error.code] ?? "the last attempt failed";
    return `Tries again in ${when} because ${because} (attempt ${job.attempt + 1} of ${job.max_attempts})`;
  }
  if (deserted.has(job.region)) return `Waits for a worker in region ${job.region}: there is none now`;
  const place = job.queue_position;
  return place === null ? "Waiting" : place === 1 ? "Waiting: next in line" : `Waiting: ${ordinal(place)} in line`;
}

function running({ stage, progress, attempt, max_attempts: most }) {
  const { percent, speed_bytes_per_second: speed, eta_seconds: left } = progress;
  const parts = [
    `${STAGES[stage] ?? "Running"} ${Math.floor(percent)}%`,
    speed && stage === "download" ? `${bytes(speed)}/s` : "",
    left === null ? "" : `${clock(left)} left`,
    attempt > 1 ? `attempt ${attempt} of ${most}` : "",
  ];
  return parts.filter(Boolean).join(" · ");
}

// How much of it has come, while it comes.
export function amount({ status, stage, progress }) {
  const { downloaded_bytes: have, total_bytes: all } = progress;
  if (status !== "running" || stage !== "download" || !have) return "";
  return all ? `${bytes(have)} of ${bytes(all)}` : bytes(have);
}

function completed({ result, expires_at: end }) {
  if (!result) return "Completed";
  const less = result.asked && result.got && result.asked !== "best" && result.asked !== result.got;
  const parts = [
    "Completed",
    less ? `${result.got}, not ${result.asked}` : result.got,
    result.container,
    bytes(result.size_bytes),
    end ? `kept ${wait(until(end))} more` : "",
  ];
  return parts.filter(Boolean).join(" · ");
}

function failed({ error }) {
  const { title, advice } = ofCode(error?.code);
  return `${title}. ${advice}`;
}

export const titleOf = ({ media, request }) => media?.title ?? request.filename ?? request.url.replace(/^https?:../, "");

function ofText({ asked, language, automatic, link }) {
  if (language === null) return `${asked}: none`;
  return `${language}${automatic ? " by a machine" : ""}${link ? " beside the file" : ""}`;
}

// Everything there is to know of a job, as pairs of a name and a value.
export function details(job) {
  const { request, result, media } = job;
  const clip = request.clip && `${clock(request.clip.start)} to ${request.clip.end === null ? "the end" : clock(request.clip.end)}`;
  const pairs = [
    ["Error", job.error?.message],
    ["Link", request.url],
    ["By", media?.uploader],
    ["Asked for", [request.format, request.quality, clip].filter(Boolean).join(", ")],
    ["File", result?.filename],
    ["Picture", result?.width ? `${result.width} × ${result.height}, ${result.vcodec}` : null],
    ["Sound", result?.acodec],
    ["Subtitles", result?.subtitles?.map(ofText).join(", ")],
    ["SHA-256", result?.sha256],
    ["Tags", request.tags.join(", ")],
    ["Own name", request.external_id],
    ["Saved", job.library.downloads ? `${job.library.downloads} times` : null],
    ["Ordered", moment(job.created_at)],
    ["Finished", job.finished_at && moment(job.finished_at)],
    ["Kept until", job.expires_at && moment(job.expires_at)],
    ["Region", job.region === "default" ? null : job.region],
    ["Id", job.id],
  ];
  return pairs.filter(([, value]) => value);
}
