//! Tables for terminals: columns as wide as they need to be.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Columns between two cells.
const GAP: usize = 2;

/// Lines of a table, its heads first, each without line break. What comes from strangers is made plain by who fills a cell.
#[must_use]
pub fn lines(heads: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    let all = || std::iter::once(&heads).chain(rows);
    let widths: Vec<usize> = (0..heads.len())
        .map(|column| all().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or_default())
        .collect();
    all()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| padded(cell, width + GAP));
            cells.collect::<String>().trim_end().to_owned()
        })
        .collect()
}

/// The text, cut to so many columns of a terminal.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.width().unwrap_or_default();
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The text with spaces behind it, up to so many columns.
#[must_use]
pub fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_also_in_wide_characters() {
        let rows = [
            vec!["a".to_owned(), "日本".to_owned(), "1".to_owned()],
            vec!["bcd".to_owned(), "x".to_owned(), String::new()],
        ];
        assert_eq!(lines(&["id", "title", "n"], &rows), ["ID   TITLE  N", "a    日本   1", "bcd  x"]);
        assert_eq!(lines(&["id"], &[]), ["ID"]);
    }

    #[test]
    fn what_is_too_wide_is_cut_at_a_character() {
        assert_eq!(
            [cut("talk", 4), cut("talks", 4), cut("日本語", 5), cut("日本語", 4)],
            ["talk", "tal…", "日本…", "日…"]
        );
    }
}
