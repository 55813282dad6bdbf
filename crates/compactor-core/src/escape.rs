//! Text from outside (ids, documents, names of files and keys) on its way to a terminal, a log or a
//! record.
//!
//! Characters that would begin a line, move the cursor, change colours or turn the direction of writing
//! become escapes, so that no sender can forge a line or command a terminal.

use std::borrow::Cow;

/// The text as part of one line: control characters, line breaks included, become escapes such as
/// `\u{1b}`.
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, is_obeyed)
}

/// The text as one or more lines: as [`escaped`], but line feeds stay.
pub fn escaped_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |letter| letter != '\n' && is_obeyed(letter))
}

/// The text with `***` in place of the credentials in each address of the form
/// `http://user:password@host`.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once("://") {
        let ends = |letter: char| letter.is_whitespace() || matches!(letter, '/' | '"' | '`');
        let authority = after.split(ends).next().unwrap_or_default();
        plain.push_str(before);
        plain.push_str("://");
        rest = match authority.rfind('@') {
            Some(at) => {
                plain.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    match plain.contains("://***") {
        true => Cow::Owned(plain + rest),
        false => Cow::Borrowed(text),
    }
}

/// Whether a terminal obeys the character instead of showing it: control characters and those that turn
/// the direction of writing. Each of them fits in 16 bits.
pub fn is_obeyed(letter: char) -> bool {
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
    fn characters_that_a_terminal_obeys_are_escaped() {
        let text = "a\u{1b}[31mb\u{7}\r\n\u{9b}c\u{202e}d\u{7f}";
        let plain = r"a\u{1b}[31mb\u{7}\r\n\u{9b}c\u{202e}d\u{7f}";
        assert_eq!(escaped(text), plain);
        assert_eq!(escaped_lines("a\nb\tc"), "a\nb\\tc");
    }

    #[test]
    fn credentials_in_addresses_are_masked() {
        for (text, plain) in [
            ("http://u:p@host/x", "http://***@host/x"),
            (
                "`ftp://u@host` and https://a:b@c",
                "`ftp://***@host` and https://***@c",
            ),
            ("https://host/a@b", "https://host/a@b"),
            ("a@b", "a@b"),
            ("://", "://"),
        ] {
            assert_eq!(without_passwords(text), plain);
        }
    }

    #[test]
    fn harmless_text_is_borrowed_unchanged() {
        let text = "Grüße, 世界 🦀 שלום \\ \"a\"";
        assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
    }
}
