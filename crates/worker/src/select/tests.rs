//! The rules of the contract on the ladders that sites really have.

use haul_shared::media::Format;
use proptest::prelude::*;

use super::*;
use crate::container::AudioCodec;

/// `id ext video audio height kbps`; `-` is absent, `?` unknown.
fn stream(text: &str) -> Stream {
    let [id, ext, video, audio, height, kbps] = text.split_ascii_whitespace().collect::<Vec<_>>()[..] else {
        panic!("six words: {text}")
    };
    Stream {
        id: id.to_owned(),
        file: Container::of_extension(ext),
        like: Container::of_extension(ext),
        video: track(video, VideoCodec::of_name),
        audio: track(audio, AudioCodec::of_name),
        width: height.parse().ok().map(|height: u32| height * 16 / 9),
        height: height.parse().ok(),
        fps: None,
        bitrate_kbps: kbps.parse().ok(),
        quality: 0,
        preference: 0,
        language_preference: 0,
        has_drm: false,
    }
}

fn track<C>(word: &str, read: impl Fn(&str) -> C) -> Track<C> {
    match word {
        "-" => Track::Absent,
        "?" => Track::Unknown,
        name => Track::Known(read(name)),
    }
}

fn offer(rows: &str) -> Offer {
    Offer { streams: rows.lines().map(str::trim).filter(|row| !row.is_empty()).map(stream).collect(), live: Live::No }
}

pub(super) fn spec(format: &str, quality: &str) -> DownloadSpec {
    let spec = serde_json::json!({
        "url": "https://example.com/", "format": format, "quality": quality, "codec": "any", "fallback": "nearest",
        "audio_bitrate_kbps": 192, "embed_metadata": true, "embed_chapters": true, "playlist_index": 1,
    });
    serde_json::from_value(spec).unwrap()
}

fn shown(result: Result<Selection, Failure>) -> String {
    match result {
        Ok(selection) => {
            let container = selection.container.map_or("as it is", Container::extension);
            let got = selection.got.map_or_else(|| "?".to_owned(), |got| got.to_string());
            format!("{} {container} {got}", selection.take.ids().join("+"))
        }
        Err(failure) => failure.kind.code().to_owned(),
    }
}

const DASH: &str = "
    0 mp4 avc1.64 - 240 300
    1 mp4 avc1.64 - 360 600
    2 mp4 avc1.64 - 480 1000
    3 mp4 avc1.64 - 720 2000
    4 mp4 avc1.64 - 1080 4000
    5 mp4 avc1.64 - 2160 12000
    6 m4a - mp4a.40.2 ? 64
    7 m4a - mp4a.40.2 ? 128";
const MUXED: &str = "
    a mp4 avc1.64 mp4a.40.2 360 700
    b mp4 avc1.64 mp4a.40.2 720 2100
    c mp4 avc1.64 mp4a.40.2 2160 12000";
const MIXED: &str = "
    avc360 mp4 avc1.64 - 360 600
    avc720 mp4 avc1.64 - 720 2000
    avc1080 mp4 avc1.64 - 1080 4000
    vp91080 webm vp9 - 1080 3000
    vp92160 webm vp9 - 2160 12000
    aac m4a - mp4a.40.2 ? 128
    opus webm - opus ? 160";
const AVC_ONLY: &str = "
    avc mp4 avc1.64 - 1080 4000
    aac m4a - mp4a.40.2 ? 128";
const DIRECT: &str = "0 mp4 ? ? ? ?";
const TALL: &str = "tall mp4 avc1.64 mp4a.40.2 1080 4000";

#[test]
fn the_verified_picks_are_made() {
    for (rows, format, quality, expected) in [
        (DASH, "mp4", "2160p", "5+7 mp4 2160p"),
        (DASH, "mp4", "1440p", "4+7 mp4 1080p"),
        (DASH, "mp4", "720p", "3+7 mp4 720p"),
        (DASH, "mp4", "144p", "0+7 mp4 240p"),
        (DASH, "mp4", "best", "5+7 mp4 2160p"),
        (DASH, "mp3", "best", "7 mp3 ?"),
        (MUXED, "mp4", "1080p", "b mp4 720p"),
        (MUXED, "mkv", "best", "c mkv 2160p"),
        (MUXED, "mp3", "best", "a mp3 ?"),
        (TALL, "mp3", "best", "tall mp3 ?"),
        (MIXED, "mp4", "1080p", "avc1080+aac mp4 1080p"),
        (MIXED, "mp4", "2160p", "vp92160+aac mp4 2160p"),
        (MIXED, "mp4", "best", "vp92160+aac mp4 2160p"),
        (MIXED, "mp4", "480p", "avc360+aac mp4 360p"),
        (MIXED, "webm", "1080p", "vp91080+opus webm 1080p"),
        (MIXED, "webm", "720p", "avc720+opus mkv 720p"),
        (MIXED, "mkv", "best", "vp92160+opus mkv 2160p"),
        (MIXED, "original", "best", "vp92160+opus webm 2160p"),
        (MIXED, "m4a", "best", "aac m4a ?"),
        (MIXED, "opus", "best", "opus opus ?"),
        (MIXED, "flac", "best", "opus flac ?"),
        (AVC_ONLY, "webm", "best", "avc+aac mkv 1080p"),
        (DIRECT, "mp4", "720p", "0 mp4 ?"),
        (DIRECT, "original", "best", "0 mp4 ?"),
        (DIRECT, "webm", "best", "0 as it is ?"),
        (DIRECT, "wav", "best", "0 wav ?"),
    ] {
        assert_eq!(shown(choose(&offer(rows), &spec(format, quality))), expected, "{rows} {format} {quality}");
    }
}

#[test]
fn strict_gives_what_was_asked_or_nothing() {
    for (rows, format, quality, codec, expected) in [
        (DASH, "mp4", "720p", Codec::Any, "3+7 mp4 720p"),
        (DASH, "mp4", "1440p", Codec::Any, "format_unavailable"),
        (DASH, "mp4", "144p", Codec::Any, "format_unavailable"),
        (DASH, "mp4", "best", Codec::Any, "5+7 mp4 2160p"),
        (DASH, "mp4", "best", Codec::Vp9, "format_unavailable"),
        (MIXED, "mp4", "1080p", Codec::Vp9, "vp91080+aac mp4 1080p"),
        (MIXED, "webm", "720p", Codec::Any, "format_unavailable"),
        (AVC_ONLY, "webm", "best", Codec::Any, "format_unavailable"),
        (AVC_ONLY, "mp3", "best", Codec::Any, "aac mp3 ?"),
        (DIRECT, "webm", "720p", Codec::Av1, "0 webm ?"),
    ] {
        let spec = DownloadSpec { fallback: Fallback::Strict, codec, ..spec(format, quality) };
        assert_eq!(shown(choose(&offer(rows), &spec)), expected, "{rows} {format} {quality} {codec:?}");
    }
}

#[test]
fn an_asked_codec_is_preferred_to_a_larger_picture() {
    let spec = DownloadSpec { codec: Codec::H264, ..spec("mp4", "best") };
    assert_eq!(shown(choose(&offer(MIXED), &spec)), "avc1080+aac mp4 1080p");
}

#[test]
fn what_cannot_be_fetched_is_refused_with_its_reason() {
    let live = Offer { live: Live::Now, ..offer(DASH) };
    let early = Offer { live: Live::Upcoming, ..offer(DASH) };
    let mut locked = offer(DASH);
    locked.streams.iter_mut().for_each(|stream| stream.has_drm = true);
    let mut half_locked = offer(DASH);
    half_locked.streams[5].has_drm = true;
    let storyboard = offer("sb0 mhtml - - 90 ?");
    let silent = offer("v mp4 avc1.64 - 720 2000");
    for (offer, format, expected) in [
        (&live, "mp4", "live_not_supported"),
        (&early, "mp4", "not_yet_available"),
        (&locked, "mp4", "drm_protected"),
        (&half_locked, "mp4", "4+7 mp4 1080p"),
        (&storyboard, "mp4", "format_unavailable"),
        (&Offer::default(), "mp4", "format_unavailable"),
        (&silent, "mp4", "v mp4 720p"),
        (&silent, "mp3", "format_unavailable"),
        (&self::offer("a m4a - mp4a.40.2 ? 128"), "mp4", "format_unavailable"),
    ] {
        assert_eq!(shown(choose(offer, &spec(format, "best"))), expected);
    }
}

#[test]
fn a_portrait_picture_is_measured_by_its_short_side() {
    let mut portrait = offer("p mp4 avc1.64 mp4a.40.2 1920 4000");
    portrait.streams[0].width = Some(1080);
    assert_eq!(shown(choose(&portrait, &spec("mp4", "1080p"))), "p mp4 1080p");
}

#[test]
fn the_original_language_comes_before_bits() {
    let mut offer = offer(&format!("{DASH}\n dub m4a - mp4a.40.2 ? 256"));
    offer.streams.iter_mut().find(|stream| stream.id == "dub").unwrap().language_preference = -10;
    assert_eq!(shown(choose(&offer, &spec("mp4", "720p"))), "3+7 mp4 720p");
    assert_eq!(shown(choose(&offer, &spec("m4a", "best"))), "7 m4a ?");
}

/// Fault: from a master playlist without CODECS yt-dlp takes the variant for whole, and the result is silent.
#[test]
fn sound_that_is_only_assumed_is_fetched_apart() {
    let master = offer("v mp4 ? ? 360 600\n a mp4 - ? ? ?");
    assert_eq!(shown(choose(&master, &spec("mp4", "best"))), "v+a mp4 360p");
}

fn any_stream() -> impl Strategy<Value = Stream> {
    let video = prop_oneof![Just("-"), Just("?"), Just("avc1"), Just("vp9"), Just("av01"), Just("mpeg4")];
    let audio = prop_oneof![Just("-"), Just("?"), Just("mp4a.40.2"), Just("opus"), Just("vorbis")];
    (0..1000_u32, video, audio, proptest::option::of(1..5000_u32), 0..9000_u32, any::<bool>()).prop_map(
        |(id, video, audio, height, kbps, has_drm)| {
            let height = height.map_or_else(|| "?".to_owned(), |height| height.to_string());
            Stream { has_drm, ..stream(&format!("f{id} mp4 {video} {audio} {height} {kbps}")) }
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_offered_nothing_locked_or_empty_is_taken(
        streams in proptest::collection::vec(any_stream(), 0..12),
        format in 0..Format::ALL.len(),
        rung in 0..Quality::LADDER.len(),
        strict in any::<bool>(),
    ) {
        let mut offer = Offer { streams, live: Live::No };
        for (at, stream) in offer.streams.iter_mut().enumerate() {
            stream.id = at.to_string();
        }
        let spec = DownloadSpec {
            format: Format::ALL[format],
            quality: Quality::AtMost(Quality::LADDER[rung]),
            fallback: if strict { Fallback::Strict } else { Fallback::Nearest },
            ..spec("mp4", "best")
        };
        let open = |stream: &&Stream| !stream.has_drm;
        let wanted = |stream: &Stream| match spec.format.is_audio() {
            true => stream.audio.is_possible(),
            false => stream.video.is_possible(),
        };
        match choose(&offer, &spec) {
            Ok(selection) => {
                for id in selection.take.ids() {
                    let taken = &offer.streams[id.parse::<usize>().unwrap()];
                    prop_assert!(!taken.has_drm);
                    prop_assert!(taken.video.is_possible() || taken.audio.is_possible());
                }
                if strict && !spec.format.is_audio() {
                    prop_assert!(selection.got.is_none() || selection.got == selection.asked);
                    let asked = Container::of_format(spec.format);
                    prop_assert!(asked.is_none() || selection.container == asked);
                }
                // at most what was asked, whenever there is such a stream
                let limit = u32::from(Quality::LADDER[rung]);
                let has_within = offer.streams.iter().filter(open).filter(|s| wanted(s))
                    .any(|s| s.short_side().is_some_and(|side| side <= limit));
                if !spec.format.is_audio() && has_within {
                    let id = selection.take.ids()[0].parse::<usize>().unwrap();
                    match offer.streams[id].short_side() {
                        Some(side) => prop_assert!(side <= limit + Size::PADDING),
                        // a strict request goes by the file rather than by a stream that is surely too small
                        None => prop_assert!(strict),
                    }
                }
            }
            Err(_) => prop_assert!(strict || !offer.streams.iter().filter(open).any(wanted)),
        }
    }
}
