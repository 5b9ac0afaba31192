//! Subtitles: which of a medium's are wanted, and their texts as WebVTT.
//!
//! Pure. Not here: what a site says of them (`ytdlp::captions`), how they are fetched, converted and put into a file
//! (`pipeline::texts`, `ffmpeg::subtitles`).

pub mod vtt;

use haul_shared::job::{Failure, FailureKind};
use haul_shared::media::{Fallback, Subtitles};

use crate::ytdlp::Caption;

/// A language that was asked for, and what there is of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted<'a> {
    /// As it was asked for.
    pub asked: &'a str,
    /// None: the medium has nothing that comes near.
    pub found: Option<&'a Caption>,
}

/// For each language the nearest that there is: one that somebody wrote before one that a machine made, which is taken
/// only when it was asked for; the very language before a variant of it (`en-GB` for `en`), and that before the language
/// of which it is a variant.
///
/// # Errors
/// `format_unavailable` when one is missing and the request is strict, for which only a variant is as good.
pub fn choose<'a>(there: &'a [Caption], asked: &'a Subtitles, fallback: Fallback) -> Result<Vec<Wanted<'a>>, Failure> {
    let least = match fallback {
        Fallback::Nearest => Nearness::Wider,
        Fallback::Strict => Nearness::Variant,
    };
    let wanted = asked.languages.iter().map(|language| {
        let near = there
            .iter()
            .filter(|caption| asked.automatic || !caption.automatic)
            .filter_map(|caption| Some((caption, nearness(language, &caption.language)?)))
            .filter(|(_, near)| *near >= least);
        // of equals the first: sites list what they think of most in front
        let best = near.rev().max_by_key(|(caption, near)| (!caption.automatic, *near));
        let found = best.map(|(caption, _)| caption);
        if found.is_none() && fallback == Fallback::Strict {
            return Err(Failure::new(FailureKind::FormatUnavailable, "no subtitles in an asked language"));
        }
        Ok(Wanted { asked: language, found })
    });
    wanted.collect()
}

/// How near a language comes to another; the greatest is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    /// `en` for `en-GB`.
    Wider,
    /// `en-GB` for `en`.
    Variant,
    Same,
}

fn nearness(asked: &str, is: &str) -> Option<Nearness> {
    let (asked, is) = (asked.to_ascii_lowercase().replace('_', "-"), is.to_ascii_lowercase().replace('_', "-"));
    let extends = |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.starts_with('-'));
    if asked == is {
        Some(Nearness::Same)
    } else if extends(&is, &asked) {
        Some(Nearness::Variant)
    } else if extends(&asked, &is) {
        Some(Nearness::Wider)
    } else {
        None
    }
}

/// The three letters by which containers know a language (ISO 639-2/T), of a tag of BCP 47; `und`: not one of those that
/// are usual.
#[must_use]
pub fn three_letters(language: &str) -> &str {
    const TABLE: &str = "ar ara|bg bul|bn ben|ca cat|cs ces|da dan|de deu|el ell|en eng|es spa|et est|eu eus|fa fas|fi fin|\
        fil fil|fr fra|gl glg|gu guj|he heb|hi hin|hr hrv|hu hun|id ind|is isl|it ita|iw heb|ja jpn|kk kaz|kn kan|ko kor|\
        lt lit|lv lav|mk mkd|ml mal|mr mar|ms msa|nb nob|nl nld|no nor|pa pan|pl pol|pt por|ro ron|ru rus|sk slk|sl slv|\
        sq sqi|sr srp|sv swe|sw swa|ta tam|te tel|th tha|tr tur|uk ukr|ur urd|vi vie|zh zho|zu zul";
    let primary = language.split(['-', '_']).next().unwrap_or_default();
    if primary.len() == 3 && primary.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return primary;
    }
    let known = TABLE.split('|').filter_map(|row| row.trim().split_once(' '));
    known.into_iter().find(|(two, _)| primary.eq_ignore_ascii_case(two)).map_or("und", |(_, three)| three)
}

#[cfg(test)]
mod tests {
    use haul_shared::media::SubtitleMode;

    use super::*;
    use crate::ytdlp::captions::{CaptionForm, CaptionSource};

    /// `en` is written by somebody, `~en` by a machine.
    fn caption(word: &str) -> Caption {
        Caption {
            language: word.trim_start_matches('~').to_owned(),
            name: None,
            automatic: word.starts_with('~'),
            form: CaptionForm::Vtt,
            source: CaptionSource::Text(String::new()),
        }
    }

    #[test]
    fn the_nearest_of_a_language_is_taken_and_a_machine_s_only_when_asked() {
        for (there, asked, automatic, fallback, expected) in [
            ("en de", "de en", false, Fallback::Nearest, "de en"),
            ("en-GB en-US", "en", false, Fallback::Nearest, "en-GB"),
            ("en-GB en", "en", false, Fallback::Strict, "en"),
            ("en", "en-US", false, Fallback::Nearest, "en"),
            ("en", "en-US", false, Fallback::Strict, "format_unavailable"),
            ("en-GB", "en", false, Fallback::Strict, "en-GB"),
            ("eng", "en", false, Fallback::Nearest, "-"),
            ("~en de", "en de", false, Fallback::Nearest, "- de"),
            ("~en de", "en", false, Fallback::Strict, "format_unavailable"),
            ("~en en-GB", "en", true, Fallback::Nearest, "en-GB"),
            ("~en ~en-GB", "en", true, Fallback::Nearest, "~en"),
            ("", "en", true, Fallback::Nearest, "-"),
        ] {
            let there: Vec<Caption> = there.split_ascii_whitespace().map(caption).collect();
            let languages = asked.split(' ').map(str::to_owned).collect();
            let asked = Subtitles { languages, automatic, mode: SubtitleMode::Embed };
            let shown = match choose(&there, &asked, fallback) {
                Ok(wanted) => {
                    let mark =
                        |caption: &Caption| format!("{}{}", if caption.automatic { "~" } else { "" }, caption.language);
                    wanted.iter().map(|one| one.found.map_or("-".to_owned(), mark)).collect::<Vec<_>>().join(" ")
                }
                Err(failure) => failure.kind.code().to_owned(),
            };
            assert_eq!(shown, expected, "{asked:?} of {there:?}");
        }
    }

    #[test]
    fn containers_know_languages_by_three_letters() {
        for (tag, three) in [
            ("en", "eng"),
            ("pt-BR", "por"),
            ("ZH-Hans", "zho"),
            ("deu", "deu"),
            ("tlh-x", "tlh"),
            ("xx", "und"),
            ("", "und"),
        ] {
            assert_eq!(three_letters(tag), three, "{tag}");
        }
    }
}
