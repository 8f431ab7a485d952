//! A template's text to pieces: plain text, and actions as words. What the words mean is not known here.

use super::Wrong;

/// Text as it stands, or what is between braces.
#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Action { at: usize, words: Vec<Word> },
}

/// A word of an action and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub at: usize,
    pub kind: Kind,
    /// Whether white space is before it: `.a .b` are two values, `.a.b` is one.
    pub spaced: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// `if`, `printf`, `true`.
    Name(String),
    /// `.name`
    Field(String),
    /// `.` alone.
    Dot,
    /// `$` is the empty name.
    Variable(String),
    Text(String),
    Number(serde_json::Number),
    Pipe,
    Open,
    Close,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// Cuts a template up, and takes away the white space that `{{-` and `-}}` stand beside.
///
/// # Errors
/// Braces, quotes or comments that do not close, and characters that no action has.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, Wrong> {
    let mut pieces = Vec::new();
    let (mut at, mut trim) = (0, false);
    loop {
        let rest = template.get(at..).unwrap_or_default();
        let open = rest.find("{{");
        let mut text = rest.get(..open.unwrap_or(rest.len())).unwrap_or_default();
        if trim {
            text = text.trim_start();
        }
        let inside = open.map(|open| at + open + 2);
        let left = inside.is_some_and(|inside| trims_left(template.get(inside..).unwrap_or_default()));
        if left {
            text = text.trim_end();
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let Some(inside) = inside else { return Ok(pieces) };
        let action = Action { template, start: inside - 2, at: if left { inside + 1 } else { inside } };
        let (words, end, right) = action.read()?;
        if let Some(words) = words {
            pieces.push(Piece::Action { at: inside - 2, words });
        }
        (at, trim) = (end, right);
    }
}

/// `{{-` trims only with white space behind it: `{{-3}}` is a number.
fn trims_left(inside: &str) -> bool {
    let mut chars = inside.chars();
    chars.next() == Some('-') && chars.next().is_some_and(char::is_whitespace)
}

/// An action that is being read.
struct Action<'a> {
    template: &'a str,
    start: usize,
    at: usize,
}

/// The words of an action, `None` for a comment; its end; and whether white space behind it is taken away.
type Read = (Option<Vec<Word>>, usize, bool);

impl Action<'_> {
    fn rest(&self) -> &str {
        self.template.get(self.at..).unwrap_or_default()
    }

    /// Goes past a text if it is next.
    fn pass(&mut self, text: &str) -> bool {
        let next = self.rest().starts_with(text);
        if next {
            self.at += text.len();
        }
        next
    }

    fn pass_space(&mut self) -> bool {
        let rest = self.rest();
        let space = rest.len() - rest.trim_start().len();
        self.at += space;
        space > 0
    }

    /// Goes past the closing braces if they are next; with their trim marker if white space is before it.
    fn pass_end(&mut self, spaced: bool) -> Option<bool> {
        if self.pass("}}") {
            return Some(false);
        }
        (spaced && self.pass("-}}")).then_some(true)
    }

    fn read(mut self) -> Result<Read, Wrong> {
        let unclosed = Wrong::new(self.start, "'{{' has no closing '}}'");
        let mut spaced = self.pass_space();
        if self.pass("/*") {
            let Some(end) = self.rest().find("*/") else {
                return Err(Wrong::new(self.start, "the comment has no end"));
            };
            self.at += end + 2;
            spaced = self.pass_space();
            let Some(right) = self.pass_end(spaced) else {
                return Err(Wrong::new(self.at, "a comment fills its braces alone"));
            };
            return Ok((None, self.at, right));
        }
        let mut words = Vec::new();
        loop {
            spaced |= self.pass_space();
            if let Some(right) = self.pass_end(spaced) {
                return Ok((Some(words), self.at, right));
            }
            let at = self.at;
            let Some(first) = self.rest().chars().next() else { return Err(unclosed) };
            let kind = self.word(first)?;
            words.push(Word { at, kind, spaced });
            spaced = false;
        }
    }

    fn word(&mut self, first: char) -> Result<Kind, Wrong> {
        let at = self.at;
        if self.pass(":=") {
            return Ok(Kind::Declare);
        }
        self.at += first.len_utf8();
        Ok(match first {
            '|' => Kind::Pipe,
            '(' => Kind::Open,
            ')' => Kind::Close,
            ',' => Kind::Comma,
            '=' => Kind::Assign,
            '$' => Kind::Variable(self.name()),
            '.' => match self.name() {
                name if name.is_empty() => Kind::Dot,
                name => Kind::Field(name),
            },
            '"' => self.quoted(at)?,
            '`' => {
                let Some(end) = self.rest().find('`') else { return Err(Wrong::new(at, "the text has no closing `")) };
                let text = self.rest().get(..end).unwrap_or_default().to_owned();
                self.at += end + 1;
                Kind::Text(text)
            }
            first if first.is_ascii_digit() || first == '-' || first == '+' => self.number(at)?,
            first if first.is_alphabetic() || first == '_' => {
                self.at = at;
                Kind::Name(self.name())
            }
            other => return Err(Wrong::new(at, format!("'{other}' is nothing that an action can hold"))),
        })
    }

    fn name(&mut self) -> String {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default().to_owned();
        self.at += end;
        name
    }

    fn number(&mut self, at: usize) -> Result<Kind, Wrong> {
        let rest = self.rest();
        let mut end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
        // 1e-3
        if rest.get(..end).is_some_and(|text| text.ends_with(['e', 'E']))
            && rest.get(end..).is_some_and(|r| r.starts_with(['-', '+']))
        {
            let tail = rest.get(end + 1..).unwrap_or_default();
            end += 1 + tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        }
        self.at += end;
        let text = self.template.get(at..self.at).unwrap_or_default();
        let whole = text.parse::<i64>().ok().map(serde_json::Number::from);
        let number = whole.or_else(|| text.parse::<f64>().ok().and_then(serde_json::Number::from_f64));
        number.map(Kind::Number).ok_or_else(|| Wrong::new(at, format!("'{text}' is no number: write it in decimal")))
    }

    /// The rest of a text in quotes, with the escapes that Go and JSON share.
    fn quoted(&mut self, at: usize) -> Result<Kind, Wrong> {
        let mut escaped = false;
        let end = self.rest().find(|c: char| match c {
            _ if escaped => {
                escaped = false;
                false
            }
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"' || c == '\n',
        });
        let end = end.filter(|end| self.rest().get(*end..).is_some_and(|rest| rest.starts_with('"')));
        let Some(end) = end else { return Err(Wrong::new(at, "the text has no closing quote on its line")) };
        self.at += end + 1;
        // A tab may stand in Go's texts and not in JSON's.
        let text = self.template.get(at..self.at).unwrap_or_default().replace('\t', "\\t");
        let text = serde_json::from_str(&text).map_err(|_| {
            Wrong::new(
                at,
                "the text holds an escape that is not supported: there are \\\", \\\\, \\n, \\r, \\t and \\uXXXX",
            )
        })?;
        Ok(Kind::Text(text))
    }
}
