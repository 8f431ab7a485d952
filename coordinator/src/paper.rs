//! Text for a terminal and for Markdown: what all reports are written with.

use std::fmt::Write;

pub const GREEN: &str = "32";
pub const RED: &str = "31";
pub const YELLOW: &str = "33";
pub const BOLD: &str = "1";

/// A text in a colour, if there are colours and it has one.
pub fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour && !code.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// A paragraph of lines of at most `width`, those after the first indented as the text of the first.
pub fn wrapped(width: usize, label: &str, text: &str) -> String {
    let (mut out, mut line) = (String::new(), label.to_owned());
    let indent = label.chars().count();
    let mut long = indent;
    for word in text.split_whitespace() {
        let letters = word.chars().count();
        if long > indent && long + 1 + letters > width {
            // Writing to a string can't fail.
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(indent);
            long = indent;
        }
        if long > indent {
            line.push(' ');
            long += 1;
        }
        line.push_str(word);
        long += letters;
    }
    let _ = writeln!(out, "{}", line.trim_end());
    out
}

/// Without what would end a table's cell of Markdown, or start a tag.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_nowhere_else() {
        assert_eq!(wrapped(12, "Note  ", "one two  three"), "Note  one\n      two\n      three\n");
        assert_eq!(wrapped(10, "- ", "unbreakable-word x"), "- unbreakable-word\n  x\n");
        assert_eq!(wrapped(10, "Empty", ""), "Empty\n");
        assert_eq!(cell("a|b<c\nd"), "a\\|b&lt;c d");
    }
}
