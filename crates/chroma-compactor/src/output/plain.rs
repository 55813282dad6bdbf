//! Text from outside (ids, documents, names of files) on its way to a terminal: what would move the
//! cursor, change colours or turn the direction of writing is shown as an escape.

use std::borrow::Cow;

/// As part of a line.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, is_control)
}

/// As lines.
pub(crate) fn escaped_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |letter| letter != '\n' && is_control(letter))
}

fn is_control(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn replaced(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_bad(letter) {
            true => plain.extend(letter.escape_default()),
            false => plain.push(letter),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let text = "a\u{1b}[31mb\u{7}\r\n\u{9b}c\u{202e}d\u{7f}";
        let plain = r"a\u{1b}[31mb\u{7}\r\n\u{9b}c\u{202e}d\u{7f}";
        assert_eq!(escaped(text), plain);
        assert_eq!(escaped_lines("a\nb\tc"), "a\nb\\tc");
    }

    #[test]
    fn everything_else_stays() {
        let text = "Grüße, 世界 🦀 שלום \\ \"a\"";
        assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
    }
}
