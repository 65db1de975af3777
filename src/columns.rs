//! Rows laid out in columns, for people.

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
}
