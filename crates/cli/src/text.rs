//! Words of strangers on a terminal: they can't move its cursor, recolour it, or turn a line around.

/// The text in one line, without control characters and direction marks.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().filter_map(|c| if c.is_whitespace() { Some(' ') } else { (!is_unseen(c)).then_some(c) }).collect()
}

/// Is it a control character, or one that changes how others are shown? (Unicode TR 36, 3.2: bidirectional text.)
#[must_use]
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_stays_text_in_its_line() {
        for (said, shown) in [
            ("Ein Vortrag: Teil 1", "Ein Vortrag: Teil 1"),
            ("日本 👍", "日本 👍"),
            ("a\u{1b}[2Jb\u{9b}31mc", "a[2Jb31mc"),
            ("one\r\ntwo\tthree", "one  two three"),
            ("txt\u{202e}gpj.exe", "txtgpj.exe"),
        ] {
            assert_eq!(plain(said), shown);
        }
    }
}
