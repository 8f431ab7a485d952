//! Places in a test's text to its keys: `spec.requests[0].http.url`. The text is JSON as this program writes it.

/// The key at a line and a column, both counted from 1, in characters. Nothing where there is none.
pub fn at(text: &str, line: u64, column: u64) -> Option<String> {
    let mut path = Vec::new();
    let mut walk = Walk { chars: text.chars().peekable(), line: 1, column: 1 };
    while let Some(token) = walk.token() {
        if let Token::Name(name) = &token.what
            && let Some(Part::Key(key)) = path.last_mut()
        {
            name.clone_into(key);
        }
        if (token.line, token.column) >= (line, column) {
            return shown(&path);
        }
        match token.what {
            Token::Open('{') => path.push(Part::Key(String::new())),
            Token::Open(_) => path.push(Part::Item(0)),
            Token::Close => {
                path.pop();
            }
            Token::Comma => {
                if let Some(Part::Item(number)) = path.last_mut() {
                    *number += 1;
                }
            }
            Token::Name(_) | Token::Value => {}
        }
    }
    None
}

enum Part {
    Key(String),
    Item(usize),
}

enum Token {
    Open(char),
    Close,
    Comma,
    Name(String),
    Value,
}

struct Placed {
    what: Token,
    line: u64,
    column: u64,
}

struct Walk<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: u64,
    column: u64,
}

impl Walk<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.next()?;
        if next == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(next)
    }

    fn spaces(&mut self) {
        while self.chars.peek().is_some_and(|next| next.is_whitespace()) {
            self.next();
        }
    }

    fn token(&mut self) -> Option<Placed> {
        self.spaces();
        let (line, column) = (self.line, self.column);
        let what = match self.next()? {
            open @ ('{' | '[') => Token::Open(open),
            '}' | ']' => Token::Close,
            ',' => Token::Comma,
            '"' => {
                let text = self.string();
                self.spaces();
                if self.chars.next_if_eq(&':').is_some() {
                    self.column += 1;
                    Token::Name(text)
                } else {
                    Token::Value
                }
            }
            _ => {
                while self.chars.peek().is_some_and(|next| !",]}".contains(*next) && !next.is_whitespace()) {
                    self.next();
                }
                Token::Value
            }
        };
        Some(Placed { what, line, column })
    }

    /// The rest of a string. What is escaped in a key is no part of a place for people.
    fn string(&mut self) -> String {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '"' => break,
                '\\' => {
                    self.next();
                }
                other => text.push(other),
            }
        }
        text
    }
}

fn shown(path: &[Part]) -> Option<String> {
    let mut text = String::new();
    for part in path {
        match part {
            Part::Key(key) if key.is_empty() => {}
            Part::Key(key) if text.is_empty() => text.push_str(key),
            Part::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Part::Item(number) => text.push_str(&format!("[{number}]")),
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_those_of_their_keys() {
        let text = serde_json::to_string_pretty(&json!({
            "kind": "a \"quoted\", {text}",
            "spec": {
                "requests": [{"http": {"url": "x"}}, {"weight": 7, "http": {"url": "{{y}}: [1, 2]"}}],
                "slos": ["a", "b ∞", "c"],
                "load": {}
            },
        }))
        .unwrap();
        for (word, path) in [
            ("\"a \\", "kind"),
            ("\"x\"", "spec.requests[0].http.url"),
            ("7", "spec.requests[1].weight"),
            ("\"{{y", "spec.requests[1].http.url"),
            ("\"b", "spec.slos[1]"),
            ("\"c", "spec.slos[2]"),
            ("{}", "spec.load"),
            ("\"load\"", "spec.load"),
            ("[\n      \"a", "spec.slos"),
        ] {
            let before = &text[..text.find(word).unwrap_or_else(|| panic!("{word} in {text}"))];
            let line = before.matches('\n').count() as u64 + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
            assert_eq!(at(&text, line, column).as_deref(), Some(path), "{word}");
        }
        assert_eq!(at(&text, 99, 1), None);
        assert_eq!(at("", 1, 1), None);
        assert_eq!(at("{\"unclosed", 1, 2), None);
    }
}
