//! Which of yt-dlp's extractors may be used: a list of names that are allowed, and of such that are not.
//!
//! Read from the left: `all` (or `default`) allows what yt-dlp allows by itself, a name allows the extractor and its family
//! (`vimeo`: also `vimeo:album`), a name with `.*` all that begin so, and `-` before one takes them away again. A list that
//! begins by taking away takes from all: `-generic` is `all,-generic`. Letters may be large or small.
//!
//! What is left out is left out for every way: an address that only such an extractor knows, and one that another extractor
//! leads to (`plugin.py` sees to it), is `unsupported_url`.
//!
//! Not here: what yt-dlp makes of it (`--use-extractors`).

use std::fmt;
use std::str::FromStr;

/// All of yt-dlp's own, by its word for them and by ours.
const ALL: [&str; 2] = ["all", "default"];

/// A list of them; by default all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extractors(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// In small letters.
    name: String,
    takes_away: bool,
    reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Family,
    Beginning,
}

/// Why a list is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("names of extractors, all, or -name")]
pub struct NotExtractors;

impl FromStr for Extractors {
    type Err = NotExtractors;

    fn from_str(text: &str) -> Result<Self, NotExtractors> {
        let rules: Vec<Rule> = text.split(',').map(|word| Rule::read(word.trim())).collect::<Result<_, _>>()?;
        let is_all = rules.iter().all(|rule| rule.reach == Reach::All);
        Ok(Self(if is_all { Vec::new() } else { rules }))
    }
}

impl Rule {
    fn read(word: &str) -> Result<Self, NotExtractors> {
        let (takes_away, name) = word.strip_prefix('-').map_or((false, word), |name| (true, name));
        let (reach, name) = match name.strip_suffix(".*") {
            Some(name) => (Reach::Beginning, name),
            None if ALL.contains(&name.to_lowercase().as_str()) => (Reach::All, name),
            None => (Reach::Family, name),
        };
        // yt-dlp takes regular expressions, and parts them by commas
        let is_name = name.starts_with(char::is_alphanumeric)
            && name.chars().all(|c| c.is_alphanumeric() || "_:+.-".contains(c))
            && !(takes_away && reach == Reach::All);
        if is_name { Ok(Self { name: name.to_lowercase(), takes_away, reach }) } else { Err(NotExtractors) }
    }

    fn means(&self, extractor: &str) -> bool {
        match extractor.to_lowercase().strip_prefix(&self.name) {
            _ if self.reach == Reach::All => true,
            None => false,
            Some(rest) => rest.is_empty() || self.reach == Reach::Beginning || rest.starts_with(':'),
        }
    }

    /// A regular expression of Python's, but for `default`, which is a word of yt-dlp's.
    fn pattern(&self) -> String {
        let mut pattern = if self.takes_away { "-".to_owned() } else { String::new() };
        if self.reach == Reach::All {
            return "default".to_owned();
        }
        for c in self.name.chars() {
            if !c.is_alphanumeric() {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern + if self.reach == Reach::Beginning { ".*" } else { "(:.*)?" }
    }
}

impl Extractors {
    /// What `--use-extractors` is told; `None`: nothing, all are allowed.
    pub(super) fn option(&self) -> Option<String> {
        let takes_first = self.0.first()?.takes_away;
        let all = takes_first.then(|| "default".to_owned());
        Some(all.into_iter().chain(self.0.iter().map(Rule::pattern)).collect::<Vec<_>>().join(","))
    }

    /// Are they not simply all?
    #[must_use]
    pub fn are_restricted(&self) -> bool {
        !self.0.is_empty()
    }

    /// Is the list one for a yt-dlp that knows these? A name that means none of them is an error of writing: to allow it would
    /// do nothing, and to take it away would leave open what was to be closed.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn fit(&self, known: &[String]) -> Result<(), String> {
        let means_none = |rule: &&Rule| !known.iter().any(|name| rule.means(name));
        let unknown: Vec<_> = self.0.iter().filter(means_none).map(|rule| rule.name.as_str()).collect();
        if !unknown.is_empty() {
            return Err(format!("no extractor is called {}", unknown.join(", ")));
        }
        let is_allowed = |name: &String| {
            let last = self.0.iter().rev().find(|rule| rule.means(name));
            last.map_or_else(|| self.0.first().is_some_and(|rule| rule.takes_away), |rule| !rule.takes_away)
        };
        if self.are_restricted() && !known.iter().any(is_allowed) {
            return Err("no extractor is left".to_owned());
        }
        Ok(())
    }
}

/// As it is written in the configuration.
impl fmt::Display for Extractors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("all");
        }
        let word = |rule: &Rule| {
            let (sign, end) = (if rule.takes_away { "-" } else { "" }, rule.reach == Reach::Beginning);
            format!("{sign}{}{}", rule.name, if end { ".*" } else { "" })
        };
        f.write_str(&self.0.iter().map(word).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_extractors_is_read_from_the_left_and_told_to_yt_dlp() {
        for (text, told) in [
            ("all", None),
            ("default", None),
            ("all,-generic", Some(r"default,-generic(:.*)?")),
            ("-generic", Some(r"default,-generic(:.*)?")),
            ("default, -Generic", Some(r"default,-generic(:.*)?")),
            ("YouTube,vimeo:album", Some(r"youtube(:.*)?,vimeo\:album(:.*)?")),
            ("youtube.*,-youtube:clip", Some(r"youtube.*,-youtube\:clip(:.*)?")),
            ("la7.it", Some(r"la7\.it(:.*)?")),
        ] {
            let read: Extractors = text.parse().expect(text);
            assert_eq!(read.option().as_deref(), told, "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
        for wrong in ["", "--exec", "a b", "-", ",", "(a|b)", "youtube;rm", "-all", "all,-default", ".*", "a,,b"] {
            assert_eq!(wrong.parse::<Extractors>(), Err(NotExtractors), "{wrong}");
        }
    }

    #[test]
    fn a_name_that_means_no_extractor_and_a_list_that_leaves_none_are_told() {
        let known: Vec<_> = ["youtube", "youtube:tab", "Vimeo", "generic"].map(str::to_owned).into();
        for (text, wrong) in [
            ("all", None),
            ("-generic", None),
            ("vimeo,youtube:tab", None),
            ("you.*", None),
            ("-gneric", Some("no extractor is called gneric")),
            ("youtub,vimeo,x:y", Some("no extractor is called youtub, x:y")),
            ("youtube,-youtube", Some("no extractor is left")),
            ("-youtube,-vimeo,-generic", Some("no extractor is left")),
        ] {
            let read: Extractors = text.parse().expect(text);
            assert_eq!(read.fit(&known).err().as_deref(), wrong, "{text}");
        }
    }
}
