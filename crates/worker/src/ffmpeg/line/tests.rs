//! Every line that the worker runs, looked at: what stands before its inputs.

use std::path::PathBuf;

use super::*;
use crate::container::VideoCodec;
use crate::ffmpeg::picture::{Aside, Frame, Source};
use crate::ffmpeg::subtitles::Subtitle;
use crate::ffmpeg::{Embedded, Input, Make, clip, command, parts, picture, probe, sound, subtitles};
use crate::select::settle::{Picture, Track};
use crate::select::{Cut, Plan, Sound};

const CONTAINERS: [Container; 12] = [
    Container::Mp4,
    Container::M4a,
    Container::Webm,
    Container::Mkv,
    Container::MpegTs,
    Container::Mp3,
    Container::Aac,
    Container::Ogg,
    Container::Flac,
    Container::Wav,
    Container::Avi,
    Container::Flv,
];

/// A run that makes a file of this container of one such and another, with everything in it and beside it that there can be.
fn made(container: Container, sound: Sound) -> Line {
    let (file, output) = (Path::new("/job/a -i b"), Path::new("/job/out"));
    let plan = Plan {
        container,
        video: Some(Picture { input: 0, index: 0, codec: VideoCodec::H265 }),
        audio: Some(Track { input: 1, index: 0, sound, channels: 2 }),
        cut: Some(Cut { from: 1.0, to: Some(2.0), recode: true }),
        untouched: false,
        streaming: false,
        asked: None,
        got: None,
    };
    let spec = serde_json::from_value(serde_json::json!({ "url": "https://site.example/" })).expect("an order");
    let text = Subtitle { file: "/job/1.vtt".into(), language: "-i".to_owned(), name: Some("-i".to_owned()) };
    let texts = [text.clone(), text];
    let frame = Frame { file, container, stream: 0, at: 1.0 };
    let embedded = Embedded {
        file: Some(Path::new("/job/tags")),
        tags: true,
        chapters: true,
        cover: Some(Path::new("/job/cover.jpg")),
        subtitles: &texts,
        aside: Some(Aside { frame, thumbnail: Path::new("/job/thumbnail.jpg") }),
    };
    let inputs = [Input { file, container }, Input { file, container: Container::Aac }];
    let make = Make { plan: &plan, spec: &spec, inputs: &inputs, embedded, seconds: None, room: None, output };
    command::make(&make, 2)
}

/// Every line that there is, for every container, sound, text and picture.
pub(in crate::ffmpeg) fn all() -> Vec<Line> {
    let (file, output) = (Path::new("/job/a -i b"), Path::new("/job/out"));
    let mut all = Vec::new();
    for container in CONTAINERS {
        let frame = Source::Frame(Frame { file, container, stream: 0, at: 1.0 });
        all.extend([false, true].map(|packets| probe::arguments(file, container, packets)));
        all.extend([None, Some(output)].map(|cover| picture::drawn(frame, (640, 4), output, cover)));
        all.extend(sound::each().map(|sound| made(container, sound)));
        all.extend([clip::asked(file, container, 0), parts::copied(Path::new("/job/list"), container, output)]);
    }
    for form in [CaptionForm::Vtt, CaptionForm::Srt, CaptionForm::Ass] {
        all.push(subtitles::converted(file, form, output));
    }
    for image in [Image::Jpeg, Image::Png, Image::Webp] {
        all.push(picture::drawn(Source::Still(file, image), (320, 16), output, None));
    }
    all
}

#[test]
fn every_input_stands_behind_its_allow_lists() {
    let mut inputs = 0;
    for line in all() {
        let words: Vec<_> = line.into_words().into_iter().map(|word| word.into_string().expect("ours")).collect();
        let mut from = 0;
        for at in (0..words.len()).filter(|at| words[*at] == "-i") {
            // what stands between this input and the one before it
            let own = &words[from..at];
            let value = |option: &str| {
                let mut values = own.windows(2).filter(|two| two[0] == option).map(|two| two[1].as_str());
                let (first, second) = (values.next(), values.next());
                assert_eq!(second, None, "{option} is said once: {words:?}");
                first.unwrap_or_else(|| panic!("{option} is missing: {words:?}"))
            };
            assert_eq!(value("-protocol_whitelist"), "file");
            let (formats, demuxer) = (value("-format_whitelist"), value("-f"));
            let mut allowed: Vec<_> = formats.split(',').collect();
            // a list of ours leads to one kind of file
            assert!(allowed.len() == 1 || (demuxer == "concat" && allowed.len() == 2), "{formats}");
            assert!(allowed.contains(&demuxer));
            allowed.retain(|format| *format != "concat" || demuxer != "concat");
            for open in ["hls", "dash", "concat", "concatf", "sdp", "rtsp", "image2", "svg_pipe", "lavfi", "applehttp"]
            {
                assert!(!allowed.contains(&open), "{open} opens what a file names");
            }
            assert!(words[at + 1].starts_with("file:/"), "{words:?}");
            (from, inputs) = (at + 2, inputs + 1);
        }
        assert!(from > 0, "a line without an input: {words:?}");
    }
    // of the twelve results: two media, tags, two texts, a cover where there is place for one, and a frame
    assert!(inputs > CONTAINERS.len() * 10, "{inputs}");
}

#[test]
fn no_words_make_an_input() {
    let mut line = Line::of("-y -i /etc/passwd");
    line.words("-f hls -i");
    line.extend(["-i".into(), PathBuf::from("/etc/shadow").into_os_string()]);
    assert!(!line.into_words().contains(&"-i".into()));
}
