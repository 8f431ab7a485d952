//! Helm's values: files merged in their order, then `--set`, `--set-string` and `--set-file`; what a key means is not
//! known here.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::Iter8Error;

/// Indices of lists that may be written to; more is a typing mistake.
const INDEX_MAX: usize = 65_535;

/// The most steps of a path.
const STEPS_MAX: usize = 100;

/// The most empty places that all flags together may leave in lists.
const FILLED_MAX: usize = 1 << 20;

/// What the command line gave, each list in its order.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Name and text of each `-f` file.
    pub files: Vec<(String, String)>,
    pub set: Vec<String>,
    pub set_string: Vec<String>,
    pub set_file: Vec<String>,
}

/// What a value is made of.
#[derive(Clone, Copy)]
enum Typing<'a> {
    /// Whole numbers, booleans and null are told from text.
    Guessed(&'a str),
    /// Everything is text.
    Text(&'a str),
    /// The value names a file whose text is meant.
    File(&'a str, &'a dyn Fn(&str) -> Result<String, String>),
}

impl Typing<'_> {
    fn flag(&self) -> &str {
        match self {
            Typing::Guessed(flag) | Typing::Text(flag) | Typing::File(flag, _) => flag,
        }
    }
}

/// All values together; later ones win, sets win over files. `read` gives a file's text, or why it can't.
///
/// # Errors
/// The first mistake, with the flag and the place in it.
pub fn merge(sources: &Sources, read: &dyn Fn(&str) -> Result<String, String>) -> Result<Value, Iter8Error> {
    let mut values = Map::new();
    for (name, text) in &sources.files {
        deepen(&mut values, file(name, text)?);
    }
    let sets = [
        (&sources.set, Typing::Guessed("--set")),
        (&sources.set_string, Typing::Text("--set-string")),
        (&sources.set_file, Typing::File("--set-file", read)),
    ];
    let mut root = Value::Object(values);
    let filled = Cell::new(0);
    for (flags, typing) in sets {
        for text in flags {
            Parser { typing, text, rest: text, filled: &filled }.assignments(&mut root)?;
        }
    }
    Ok(root)
}

fn file(name: &str, text: &str) -> Result<Map<String, Value>, Iter8Error> {
    let value: Value = serde_saphyr::from_str(text).map_err(|error| {
        let place =
            error.location().map_or_else(|| name.to_owned(), |at| format!("{name}:{}:{}", at.line(), at.column()));
        let message = error.without_snippet().to_string();
        Iter8Error::new(place, message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before))
    })?;
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        _ => Err(Iter8Error::new(name, "values are a map of keys, such as http: {url: …}")),
    }
}

/// Merges maps key by key; whatever else is replaced, and null takes a key away.
fn deepen(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (_, Value::Null) => {
                base.shift_remove(&key);
            }
            (Some(Value::Object(base)), Value::Object(over)) => deepen(base, over),
            (_, Value::Object(over)) => {
                let mut inner = Map::new();
                deepen(&mut inner, over);
                base.insert(key, Value::Object(inner));
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// A step of a path.
#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

struct Parser<'a> {
    typing: Typing<'a>,
    text: &'a str,
    rest: &'a str,
    /// Empty places of lists so far.
    filled: &'a Cell<usize>,
}

impl Parser<'_> {
    fn wrong(&self, message: impl Into<String>) -> Iter8Error {
        let column = self.text.chars().count() - self.rest.chars().count() + 1;
        // What stands there may be part of a secret: the place is told by its column alone.
        Iter8Error::new(format!("{} column {column}", self.typing.flag()), message)
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or("");
        Some(next)
    }

    fn assignments(&mut self, root: &mut Value) -> Result<(), Iter8Error> {
        if self.text.is_empty() {
            return Err(self.wrong("nothing is set: write KEY=VALUE"));
        }
        while !self.rest.is_empty() {
            let path = self.path()?;
            let value = self.value()?;
            self.put(root, &path, value)?;
        }
        Ok(())
    }

    /// `a.b[0].c=`, with the equals sign.
    fn path(&mut self) -> Result<Vec<Step>, Iter8Error> {
        let (mut path, mut key) = (Vec::new(), String::new());
        // After an index comes a dot, another index or the equals sign.
        let mut indexed = false;
        loop {
            let before = self.rest;
            let Some(next) = self.next() else {
                return Err(self.wrong("a key has no value: write KEY=VALUE"));
            };
            match next {
                '\\' => key.push(self.next().ok_or_else(|| self.wrong("nothing follows the backslash"))?),
                ',' => {
                    self.rest = before;
                    return Err(self.wrong("a key has no value: write KEY=VALUE, and \\, for a comma in a value"));
                }
                '.' | '[' | '=' => {
                    if path.len() >= STEPS_MAX {
                        return Err(self.wrong(format!("a path has at most {STEPS_MAX} steps")));
                    }
                    if !key.is_empty() && !indexed {
                        path.push(Step::Key(std::mem::take(&mut key)));
                    } else if !indexed || !key.is_empty() {
                        self.rest = before;
                        return Err(self.wrong("a key is empty here: write such as a.b=1 or a[0].b=1"));
                    }
                    match next {
                        '=' => return Ok(path),
                        '.' => indexed = false,
                        _ => {
                            path.push(Step::Index(self.index()?));
                            indexed = true;
                        }
                    }
                }
                other => key.push(other),
            }
        }
    }

    /// The digits of an index, with the closing bracket.
    fn index(&mut self) -> Result<usize, Iter8Error> {
        let wrong = |parser: &Self| parser.wrong(format!("an index is a whole number up to {INDEX_MAX}, as in a[0]"));
        let Some((digits, rest)) = self.rest.split_once(']') else { return Err(wrong(self)) };
        match digits.parse::<usize>() {
            Ok(index) if index <= INDEX_MAX && digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                self.rest = rest;
                Ok(index)
            }
            _ => Err(wrong(self)),
        }
    }

    /// A value up to its comma, which is taken too.
    fn value(&mut self) -> Result<Value, Iter8Error> {
        if self.rest.starts_with('{') && !matches!(self.typing, Typing::File(..)) {
            return self.list();
        }
        let (text, _) = self.until(|next| next == ',')?;
        self.typed(text)
    }

    fn list(&mut self) -> Result<Value, Iter8Error> {
        self.next();
        let mut items = Vec::new();
        loop {
            match self.until(|next| next == ',' || next == '}')? {
                (text, Some('}')) => {
                    if !(text.is_empty() && items.is_empty()) {
                        items.push(self.typed(text)?);
                    }
                    break;
                }
                (text, Some(_)) => items.push(self.typed(text)?),
                (_, None) => return Err(self.wrong("the list is not closed: write KEY={a,b}")),
            }
        }
        match self.next() {
            None | Some(',') => Ok(Value::Array(items)),
            Some(_) => Err(self.wrong("after a list comes a comma or nothing")),
        }
    }

    /// Text up to a stop that is not escaped, and the stop.
    fn until(&mut self, stop: impl Fn(char) -> bool) -> Result<(String, Option<char>), Iter8Error> {
        let mut text = String::new();
        while let Some(next) = self.next() {
            match next {
                '\\' => text.push(self.next().ok_or_else(|| self.wrong("nothing follows the backslash"))?),
                next if stop(next) => return Ok((text, Some(next))),
                next => text.push(next),
            }
        }
        Ok((text, None))
    }

    fn typed(&self, text: String) -> Result<Value, Iter8Error> {
        Ok(match self.typing {
            Typing::Text(_) => Value::String(text),
            Typing::File(_, read) => Value::String(read(&text).map_err(|message| self.wrong(message))?),
            Typing::Guessed(_) => match text.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                "0" => Value::from(0),
                // 007 is text, as is 0.5.
                other if other.starts_with('0') => Value::String(text),
                other => other.parse::<i64>().map_or(Value::String(text), Value::from),
            },
        })
    }

    fn put(&self, root: &mut Value, path: &[Step], value: Value) -> Result<(), Iter8Error> {
        let mut at = root;
        let mut steps = path.iter().peekable();
        while let Some(step) = steps.next() {
            if at.is_null() {
                *at = match step {
                    Step::Key(_) => Value::Object(Map::new()),
                    Step::Index(_) => Value::Array(Vec::new()),
                };
            }
            at = match (step, at) {
                (Step::Key(key), Value::Object(map)) => {
                    if value.is_null() && steps.peek().is_none() {
                        map.shift_remove(key);
                        return Ok(());
                    }
                    map.entry(key.clone()).or_insert(Value::Null)
                }
                (Step::Index(index), Value::Array(items)) => {
                    let filled = self.filled.get() + (*index).saturating_sub(items.len());
                    if filled > FILLED_MAX {
                        return Err(self.wrong(format!("lists are left with more than {FILLED_MAX} empty places")));
                    }
                    self.filled.set(filled);
                    while items.len() <= *index {
                        items.push(Value::Null);
                    }
                    match items.get_mut(*index) {
                        Some(item) => item,
                        None => return Ok(()),
                    }
                }
                (Step::Key(key), _) => {
                    return Err(
                        self.wrong(format!("what should hold the key '{key}' has a value already that is no map"))
                    );
                }
                (Step::Index(index), _) => {
                    return Err(self.wrong(format!("what should hold [{index}] has a value already that is no list")));
                }
            };
        }
        *at = value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(texts: &[&str]) -> Result<Value, Iter8Error> {
        let set = texts.iter().map(ToString::to_string).collect();
        merge(&Sources { set, ..Sources::default() }, &|_| Err("no files".into()))
    }

    #[test]
    fn values_have_helms_types() {
        let text = "a=1,b=-2,c=0.5,d=true,e=007,f=,g=0,h={1,x,false},i={},j=1\\,2,k={a\\,b}";
        let expected = json!({"a": 1, "b": -2, "c": "0.5", "d": true, "e": "007", "f": "", "g": 0,
            "h": [1, "x", false], "i": [], "j": "1,2", "k": ["a,b"]});
        assert_eq!(set(&[text]).unwrap(), expected);
    }

    #[test]
    fn paths_go_through_maps_and_lists() {
        let values = set(&["tasks={http,assess}", "assess.SLOs.upper.grpc/latency/p97\\.5=800", "a[1].b[0]=x,a[0]=y"]);
        let expected = json!({"tasks": ["http", "assess"], "assess": {"SLOs": {"upper": {"grpc/latency/p97.5": 800}}},
            "a": ["y", {"b": ["x"]}]});
        assert_eq!(values.unwrap(), expected);
        assert_eq!(set(&["a.b=1,a.c=2", "a.b=null"]).unwrap(), json!({"a": {"c": 2}}));
        assert_eq!(set(&["a[0][1]=x"]).unwrap(), json!({"a": [[null, "x"]]}));
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, place) in [
            ("", "column 1"),
            ("abc", "column 4"),
            ("a=1,bc,d=2", "column 7"),
            ("a={1,2", "column 7"),
            ("a={1}x", "column 7"),
            ("a[x]=1", "column 3"),
            ("a[99999]=1", "column 3"),
            ("a[-1]=1", "column 3"),
            (".a=1", "column 1"),
            ("a..b=1", "column 3"),
            ("a=1\\", "column 5"),
            ("a=1,a.b=2", "column 10"),
            ("a[0]b=1", "column 6"),
        ] {
            let error = set(&[text]).unwrap_err();
            assert_eq!(error.place, format!("--set {place}"), "{text}: {error}");
        }
    }

    #[test]
    fn sets_win_over_files_and_files_are_merged() {
        let sources = Sources {
            files: vec![
                ("a.yaml".into(), "http: {url: a, qps: 1, x: 1}".into()),
                ("b.yaml".into(), "http: {qps: 2, x: null}".into()),
            ],
            set: vec!["http.url=b".into()],
            set_string: vec!["http.headers.n=1".into()],
            set_file: vec!["http.payloadStr=p.txt".into()],
        };
        let read = |path: &str| if path == "p.txt" { Ok("hello".into()) } else { Err("no such file".into()) };
        let expected = json!({"http": {"url": "b", "qps": 2, "headers": {"n": "1"}, "payloadStr": "hello"}});
        assert_eq!(merge(&sources, &read).unwrap(), expected);
        let sources = Sources { set_file: vec!["a=q.txt".into()], ..Sources::default() };
        assert!(merge(&sources, &read).unwrap_err().to_string().contains("no such file"));
    }

    #[test]
    fn a_file_is_a_map() {
        let of = |text: &str| {
            merge(&Sources { files: vec![("v.yaml".into(), text.into())], ..Sources::default() }, &|_| Err("".into()))
        };
        assert_eq!(of("# nothing\n").unwrap_or(json!({})), json!({}));
        assert!(of("- 1").unwrap_err().to_string().starts_with("v.yaml"));
        assert!(of("a: [1").unwrap_err().to_string().starts_with("v.yaml:"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[ab.\\[\\]0-9=,{}\\\\é]{0,24}") {
            let _ = set(&[&text]);
        }

        #[test]
        fn what_is_escaped_comes_back(key in "[a-z.,=\\[\\\\{}]{1,8}", value in ".{0,12}") {
            let escape = |text: &str| text.chars().flat_map(|c| ['\\', c]).collect::<String>();
            let set_string = vec![format!("{}={}", escape(&key), escape(&value))];
            let sources = Sources { set_string, ..Sources::default() };
            let merged = merge(&sources, &|_| Err("".into())).unwrap();
            prop_assert_eq!(merged, json!({key: value}));
        }
    }
}
