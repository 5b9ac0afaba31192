//! Characters that a person cannot see but a terminal, a browser or a file manager obeys.

/// Is it one? Controls, marks that turn the direction of text (U+202E makes `gpj.exe` look like `exe.jpg`), and those
/// without width or meaning. The joiners that letters and emoji need are none.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0001}')
}
