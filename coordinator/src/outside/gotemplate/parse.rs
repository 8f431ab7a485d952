//! Pieces of a template to a tree of blocks and pipelines. Values are not known here.

use std::collections::HashMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use serde_json::Value;

use super::lex::{Kind, Piece, Word};
use super::{DEPTH_MAX, Wrong, functions};

/// A template that can be run.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub main: Vec<Node>,
    pub defined: HashMap<String, Vec<Node>>,
}

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    /// Prints what the pipeline gives, unless that goes to a variable.
    Print(Pipeline),
    If {
        branches: Vec<(Pipeline, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    /// `names` are of key and value.
    Range {
        names: [Option<String>; 2],
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        what: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Template {
        at: usize,
        name: String,
        with: Option<Pipeline>,
    },
}

/// `$x := a | b c`
#[derive(Debug)]
pub(super) struct Pipeline {
    pub at: usize,
    /// The variable that takes the value, and whether it is a new one.
    pub variable: Option<(String, bool)>,
    pub commands: Vec<Command>,
}

/// A value, or a function with what it is given.
#[derive(Debug)]
pub(super) struct Command {
    pub head: Term,
    pub given: Vec<Term>,
}

#[derive(Debug)]
pub(super) struct Term {
    pub at: usize,
    pub what: What,
    /// Keys to follow from there.
    pub path: Vec<String>,
}

#[derive(Debug)]
pub(super) enum What {
    Dot,
    Literal(Value),
    Variable(String),
    Function(String),
    Group(Box<Pipeline>),
}

/// Builds the tree.
///
/// # Errors
/// Blocks and brackets that do not close, and whatever of Go's templates is not supported.
pub(super) fn parse(pieces: Vec<Piece>) -> Result<Parsed, Wrong> {
    let mut parser = Parser { pieces: pieces.into_iter(), parsed: Parsed::default(), depth: 0 };
    let (main, end) = parser.nodes()?;
    match end {
        Close::Text => Ok(Parsed { main, ..parser.parsed }),
        Close::End(at) => Err(Wrong::new(at, "'end' closes nothing here")),
        Close::Else(at, _) => Err(Wrong::new(at, "'else' belongs to no if, range or with")),
    }
}

/// How a list of nodes ends.
enum Close {
    Text,
    End(usize),
    /// With what stands behind `else`.
    Else(usize, Words),
}

struct Parser {
    pieces: IntoIter<Piece>,
    parsed: Parsed,
    depth: usize,
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, Close), Wrong> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, words) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { at, words } => (at, words),
            };
            let mut words = Words::new(at, words);
            match words.keyword().as_deref() {
                Some("end") => {
                    words.done()?;
                    return Ok((nodes, Close::End(at)));
                }
                Some("else") => return Ok((nodes, Close::Else(at, words))),
                Some("define") => self.define(at, words)?,
                Some(keyword) => nodes.push(self.block(at, keyword, words)?),
                None => nodes.push(Node::Print(words.whole()?)),
            }
        }
        Ok((nodes, Close::Text))
    }

    fn block(&mut self, at: usize, keyword: &str, mut words: Words) -> Result<Node, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong::new(at, format!("blocks stand in one another more than {DEPTH_MAX} deep")));
        }
        let node = match keyword {
            "if" => self.if_block(at, words)?,
            "range" => {
                let names = words.range_names()?;
                let over = words.whole()?;
                let (body, otherwise) = self.body_and_else(at, "range")?;
                Node::Range { names, over, body, otherwise }
            }
            "with" => {
                let what = words.whole()?;
                let (body, otherwise) = self.body_and_else(at, "with")?;
                Node::With { what, body, otherwise }
            }
            "template" => {
                let name = words.text("template")?;
                let with = if words.is_empty() { None } else { Some(words.whole()?) };
                Node::Template { at, name, with }
            }
            other => return Err(Wrong::new(at, format!("'{other}' is not supported in a template here"))),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn if_block(&mut self, at: usize, mut words: Words) -> Result<Node, Wrong> {
        let mut branches = Vec::new();
        loop {
            let condition = words.whole()?;
            let (body, end) = self.nodes()?;
            branches.push((condition, body));
            match end {
                Close::End(_) => return Ok(Node::If { branches, otherwise: Vec::new() }),
                Close::Text => return Err(unclosed(at, "if")),
                Close::Else(_, mut rest) => {
                    if rest.keyword().as_deref() == Some("if") {
                        words = rest;
                        continue;
                    }
                    rest.done()?;
                    let otherwise = self.last(at, "if")?;
                    return Ok(Node::If { branches, otherwise });
                }
            }
        }
    }

    fn body_and_else(&mut self, at: usize, keyword: &str) -> Result<(Vec<Node>, Vec<Node>), Wrong> {
        let (body, end) = self.nodes()?;
        match end {
            Close::End(_) => Ok((body, Vec::new())),
            Close::Text => Err(unclosed(at, keyword)),
            Close::Else(_, words) => {
                words.done()?;
                Ok((body, self.last(at, keyword)?))
            }
        }
    }

    /// Nodes up to `end`.
    fn last(&mut self, at: usize, keyword: &str) -> Result<Vec<Node>, Wrong> {
        match self.nodes()? {
            (nodes, Close::End(_)) => Ok(nodes),
            (_, Close::Else(at, _)) => Err(Wrong::new(at, format!("the {keyword} has an else already"))),
            (_, Close::Text) => Err(unclosed(at, keyword)),
        }
    }

    fn define(&mut self, at: usize, mut words: Words) -> Result<(), Wrong> {
        if self.depth > 0 {
            return Err(Wrong::new(at, "'define' stands inside of a block: move it out"));
        }
        let name = words.text("define")?;
        words.done()?;
        self.depth += 1;
        let body = self.last(at, "define")?;
        self.depth -= 1;
        if self.parsed.defined.insert(name.clone(), body).is_some() {
            return Err(Wrong::new(at, format!("the template '{name}' is defined twice")));
        }
        Ok(())
    }
}

fn unclosed(at: usize, keyword: &str) -> Wrong {
    Wrong::new(at, format!("'{keyword}' has no end: write {{{{ end }}}}"))
}

/// Words of an action that have not been read yet.
struct Words {
    at: usize,
    words: Peekable<IntoIter<Word>>,
    depth: usize,
}

impl Words {
    fn new(at: usize, words: Vec<Word>) -> Self {
        Words { at, words: words.into_iter().peekable(), depth: 0 }
    }

    fn is_empty(&mut self) -> bool {
        self.words.peek().is_none()
    }

    /// Where the next word is.
    fn here(&mut self) -> usize {
        self.words.peek().map_or(self.at, |word| word.at)
    }

    fn next_is(&mut self, kind: &Kind) -> bool {
        self.words.peek().is_some_and(|word| word.kind == *kind)
    }

    /// The first word, if it is one of those that make blocks.
    fn keyword(&mut self) -> Option<String> {
        const KEYWORDS: [&str; 10] =
            ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"];
        let word =
            self.words.next_if(|word| matches!(&word.kind, Kind::Name(name) if KEYWORDS.contains(&name.as_str())))?;
        match word.kind {
            Kind::Name(name) => Some(name),
            _ => None,
        }
    }

    fn done(mut self) -> Result<(), Wrong> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(Wrong::new(word.at, "nothing is expected here but the closing braces")),
        }
    }

    /// A name in quotes.
    fn text(&mut self, of: &str) -> Result<String, Wrong> {
        match self.words.next() {
            Some(Word { kind: Kind::Text(name), .. }) => Ok(name),
            word => Err(Wrong::new(word.map_or(self.at, |word| word.at), format!("'{of}' needs a name in quotes"))),
        }
    }

    /// `$value :=` or `$key, $value :=` of a range.
    fn range_names(&mut self) -> Result<[Option<String>; 2], Wrong> {
        let Some(first) = self.variable_before(&[Kind::Comma, Kind::Declare]) else { return Ok([None, None]) };
        if self.words.next().is_some_and(|word| word.kind == Kind::Declare) {
            return Ok([None, Some(first)]);
        }
        let at = self.here();
        let second = self.variable_before(&[Kind::Declare]);
        self.words.next();
        match second {
            Some(second) => Ok([Some(first), Some(second)]),
            None => Err(Wrong::new(at, "a range over keys is written {{ range $key, $value := … }}")),
        }
    }

    /// A variable, if one of these words comes behind it; the latter is left.
    fn variable_before(&mut self, next: &[Kind]) -> Option<String> {
        let mut ahead = self.words.clone();
        let Some(Word { kind: Kind::Variable(name), .. }) = ahead.next() else { return None };
        let is_next = ahead.peek().is_some_and(|word| next.contains(&word.kind));
        if !is_next || name.is_empty() {
            return None;
        }
        self.words = ahead;
        Some(name)
    }

    /// All that is left, as one pipeline.
    fn whole(&mut self) -> Result<Pipeline, Wrong> {
        let pipeline = self.pipeline()?;
        match self.words.next() {
            None => Ok(pipeline),
            Some(word) => Err(Wrong::new(word.at, "a bracket closes that was not opened")),
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, Wrong> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Wrong::new(self.at, format!("brackets stand in one another more than {DEPTH_MAX} deep")));
        }
        let at = self.here();
        let variable = self.variable_before(&[Kind::Declare, Kind::Assign]);
        let variable = variable.map(|name| (name, self.words.next().is_some_and(|word| word.kind == Kind::Declare)));
        let mut commands = vec![self.command()?];
        while self.words.next_if(|word| word.kind == Kind::Pipe).is_some() {
            let command = self.command()?;
            if !matches!(command.head.what, What::Function(_)) {
                return Err(Wrong::new(command.head.at, "only a function can stand behind '|'"));
            }
            commands.push(command);
        }
        self.depth -= 1;
        Ok(Pipeline { at, variable, commands })
    }

    fn command(&mut self) -> Result<Command, Wrong> {
        let head = self.term()?;
        let mut given = Vec::new();
        while !self.is_empty() && !self.next_is(&Kind::Pipe) && !self.next_is(&Kind::Close) {
            given.push(self.term()?);
        }
        match given.first() {
            Some(first) if !matches!(head.what, What::Function(_)) => {
                Err(Wrong::new(first.at, "a value can't be given anything: only functions can"))
            }
            _ => Ok(Command { head, given }),
        }
    }

    fn term(&mut self) -> Result<Term, Wrong> {
        let Some(word) = self.words.next() else { return Err(Wrong::new(self.at, "a value is missing")) };
        let (at, mut path) = (word.at, Vec::new());
        let what = match word.kind {
            Kind::Dot => What::Dot,
            Kind::Field(name) => {
                path.push(name);
                What::Dot
            }
            Kind::Variable(name) => What::Variable(name),
            Kind::Text(text) => What::Literal(Value::String(text)),
            Kind::Number(number) => What::Literal(Value::Number(number)),
            Kind::Name(name) => match name.as_str() {
                "true" => What::Literal(Value::Bool(true)),
                "false" => What::Literal(Value::Bool(false)),
                "nil" => What::Literal(Value::Null),
                name if functions::NAMES.contains(&name) => What::Function(name.to_owned()),
                name => {
                    let known = functions::NAMES.join(", ");
                    return Err(Wrong::new(
                        at,
                        format!("'{name}' is not supported in a template here: there are {known}"),
                    ));
                }
            },
            Kind::Open => {
                let inner = self.pipeline()?;
                if self.words.next().is_none_or(|word| word.kind != Kind::Close) {
                    return Err(Wrong::new(at, "the bracket does not close"));
                }
                What::Group(Box::new(inner))
            }
            Kind::Pipe | Kind::Close | Kind::Comma | Kind::Declare | Kind::Assign => {
                return Err(Wrong::new(at, "a value is missing here"));
            }
        };
        while let Some(word) = self.words.next_if(|word| !word.spaced && matches!(word.kind, Kind::Field(_))) {
            if let Kind::Field(name) = word.kind {
                path.push(name);
            }
        }
        if !path.is_empty() && matches!(what, What::Function(_) | What::Literal(_)) {
            return Err(Wrong::new(at, "a key can be looked up in a value alone: write (… ).key"));
        }
        Ok(Term { at, what, path })
    }
}
