//! Text for people's terminals: rows laid out in columns, and what came from outside made harmless.

use std::ops::Range;

/// `rows` as lines: each column as wide as its widest cell, two blanks between, the columns `numbers` to the right.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]], numbers: &Range<usize>) -> String {
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(widest);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
            if numbers.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text from outside, without what could move a terminal's cursor or colour it.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// JSON with all control characters of its texts escaped: it need not escape all that move a terminal's cursor.
pub(crate) fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, char| {
        if char.is_control() && char != '\n' {
            text.push_str(&format!("\\u{:04x}", u32::from(char)));
        } else {
            text.push(char);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_rows_then_text_is_set_left_and_numbers_right_without_blanks_at_the_end() {
        let rows = [["topic", "rows", "why"], ["ä", "1000", ""], ["orders", "7", "late"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows, &(1..2)), "topic   rows  why\nä       1000\norders     7  late\n");
        assert_eq!(columns::<1>(&[], &(0..0)), "");
    }

    #[test]
    fn given_control_characters_that_json_may_hold_as_they_are_then_they_are_escaped_and_mean_the_same() {
        let value = serde_json::json!({"text": "a\u{7f}b\u{9b}31m\u{1b}c\nä"});
        let json = escaped(&value.to_string());
        assert!(!json.chars().any(char::is_control), "{json}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
    }
}
