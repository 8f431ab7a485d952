//! Runs a template's tree over values. What single functions do is not known here.

use serde_json::Value;

use super::functions::{self, is_empty, kind, text};
use super::parse::{Command, Node, Parsed, Pipeline, Term, What};
use super::{DEPTH_MAX, OUTPUT_MAX, STEPS_MAX, Wrong};

/// One rendering.
pub(super) struct Run<'a> {
    parsed: &'a Parsed,
    out: String,
    steps_left: usize,
    depth: usize,
}

/// What names stand for in one template: variables from the outermost to the innermost; `$` is the first.
type Scope = Vec<(String, Value)>;

impl<'a> Run<'a> {
    pub(super) fn new(parsed: &'a Parsed) -> Self {
        Run { parsed, out: String::new(), steps_left: STEPS_MAX, depth: 0 }
    }

    pub(super) fn render(mut self, values: &Value) -> Result<String, Wrong> {
        let parsed = self.parsed;
        let mut scope = vec![(String::new(), values.clone())];
        self.nodes(&parsed.main, values, &mut scope)?;
        Ok(self.out)
    }

    /// Variables that are declared inside end with the list.
    fn nodes(&mut self, nodes: &'a [Node], dot: &Value, scope: &mut Scope) -> Result<(), Wrong> {
        let outer = scope.len();
        self.depth += 1;
        for node in nodes {
            self.node(node, dot, scope)?;
        }
        self.depth -= 1;
        scope.truncate(outer);
        Ok(())
    }

    fn node(&mut self, node: &'a Node, dot: &Value, scope: &mut Scope) -> Result<(), Wrong> {
        match node {
            Node::Text(text) => self.print(0, text),
            Node::Print(pipeline) => {
                self.step(pipeline.at)?;
                let value = self.pipeline(pipeline, dot, scope)?;
                if pipeline.variable.is_some() {
                    return Ok(());
                }
                if value.is_null() {
                    let mend = "there is no such value: give it, or write | default …";
                    return Err(Wrong::new(pipeline.at, mend));
                }
                self.print(pipeline.at, &text(&value))
            }
            Node::If { branches, otherwise } => {
                let outer = scope.len();
                for (condition, body) in branches {
                    self.step(condition.at)?;
                    if !is_empty(&self.pipeline(condition, dot, scope)?) {
                        self.nodes(body, dot, scope)?;
                        scope.truncate(outer);
                        return Ok(());
                    }
                }
                self.nodes(otherwise, dot, scope)?;
                scope.truncate(outer);
                Ok(())
            }
            Node::With { what, body, otherwise } => {
                self.step(what.at)?;
                let outer = scope.len();
                let value = self.pipeline(what, dot, scope)?;
                let done = match is_empty(&value) {
                    true => self.nodes(otherwise, dot, scope),
                    false => self.nodes(body, &value, scope),
                };
                scope.truncate(outer);
                done
            }
            Node::Range { names, over, body, otherwise } => {
                self.step(over.at)?;
                let items = items(over.at, self.pipeline(over, dot, scope)?)?;
                if items.is_empty() {
                    return self.nodes(otherwise, dot, scope);
                }
                for (key, value) in items {
                    self.step(over.at)?;
                    let outer = scope.len();
                    let [key_name, value_name] = names;
                    scope.extend(key_name.clone().map(|name| (name, key)));
                    scope.extend(value_name.clone().map(|name| (name, value.clone())));
                    self.nodes(body, &value, scope)?;
                    scope.truncate(outer);
                }
                Ok(())
            }
            Node::Template { at, name, with } => self.template(*at, name, with.as_ref(), dot, scope),
        }
    }

    fn template(
        &mut self,
        at: usize,
        name: &str,
        with: Option<&'a Pipeline>,
        dot: &Value,
        scope: &mut Scope,
    ) -> Result<(), Wrong> {
        self.step(at)?;
        let parsed = self.parsed;
        let Some(nodes) = parsed.defined.get(name) else {
            return Err(Wrong::new(at, format!("there is no template '{name}': define it")));
        };
        let value = with.map_or(Ok(Value::Null), |with| self.pipeline(with, dot, scope))?;
        // Blocks alone are bounded by the parser; a template in a template is what could go on for ever.
        if self.depth > DEPTH_MAX {
            return Err(Wrong::new(
                at,
                format!("templates and blocks stand in one another more than {DEPTH_MAX} deep"),
            ));
        }
        // It sees what it is given, and no variable of who uses it.
        self.nodes(nodes, &value, &mut vec![(String::new(), value.clone())])
    }

    fn step(&mut self, at: usize) -> Result<(), Wrong> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or_else(|| Wrong::new(at, "the template does not end"))?;
        Ok(())
    }

    fn print(&mut self, at: usize, text: &str) -> Result<(), Wrong> {
        if self.out.len() + text.len() > OUTPUT_MAX {
            return Err(Wrong::new(at, functions::too_long()));
        }
        self.out.push_str(text);
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value, scope: &mut Scope) -> Result<Value, Wrong> {
        let mut piped = None;
        for command in &pipeline.commands {
            piped = Some(self.command(command, piped, dot, scope)?);
        }
        let value = piped.unwrap_or_default();
        if let Some((name, new)) = &pipeline.variable {
            let known = scope.iter_mut().rev().find(|(known, _)| known == name);
            match (new, known) {
                (true, _) => scope.push((name.clone(), value.clone())),
                (false, Some((_, slot))) => *slot = value.clone(),
                (false, None) => return Err(undeclared(pipeline.at, name)),
            }
        }
        Ok(value)
    }

    fn command(&self, command: &Command, piped: Option<Value>, dot: &Value, scope: &mut Scope) -> Result<Value, Wrong> {
        let head = &command.head;
        let What::Function(name) = &head.what else { return self.term(head, dot, scope) };
        // These two look no further than they have to: what is behind may fail.
        if name == "and" || name == "or" {
            let mut last = None;
            for term in &command.given {
                let value = self.term(term, dot, scope)?;
                let decided = is_empty(&value) == (name == "and");
                last = Some(value);
                if decided {
                    return Ok(last.unwrap_or_default());
                }
            }
            let needs = || Wrong::new(head.at, format!("'{name}' needs at least one value"));
            return piped.or(last).ok_or_else(needs);
        }
        let mut given = Vec::with_capacity(command.given.len() + 1);
        for term in &command.given {
            given.push(self.term(term, dot, scope)?);
        }
        given.extend(piped);
        let value = functions::call(name, given).map_err(|what| Wrong::new(head.at, what))?;
        match &value {
            Value::String(text) if text.len() > OUTPUT_MAX => Err(Wrong::new(head.at, functions::too_long())),
            _ => Ok(value),
        }
    }

    fn term(&self, term: &Term, dot: &Value, scope: &mut Scope) -> Result<Value, Wrong> {
        let mut value = match &term.what {
            What::Dot => return follow(term, dot),
            What::Literal(value) => return Ok(value.clone()),
            What::Variable(name) => {
                let known = scope.iter().rev().find(|(known, _)| known == name);
                return follow(term, &known.ok_or_else(|| undeclared(term.at, name))?.1);
            }
            What::Function(name) => functions::call(name, Vec::new()).map_err(|what| Wrong::new(term.at, what))?,
            What::Group(pipeline) => self.pipeline(pipeline, dot, scope)?,
        };
        if !term.path.is_empty() {
            value = follow(term, &value)?;
        }
        Ok(value)
    }
}

fn undeclared(at: usize, name: &str) -> Wrong {
    Wrong::new(at, format!("there is no variable ${name}: declare it with :="))
}

/// Looks the keys of a term up, one in the other. A last key that is not there gives null.
fn follow(term: &Term, from: &Value) -> Result<Value, Wrong> {
    let mut value = from;
    for (place, key) in term.path.iter().enumerate() {
        value = match value {
            Value::Object(map) => match map.get(key) {
                Some(found) => found,
                None => {
                    let mut alike = map.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key));
                    match (alike.next(), alike.next()) {
                        (Some((_, found)), None) => found,
                        _ => &Value::Null,
                    }
                }
            },
            other => {
                let before = term.path.get(..place).unwrap_or_default().join(".");
                let what = if other.is_null() { "is not there".to_owned() } else { format!("is {}", kind(other)) };
                return Err(Wrong::new(term.at, format!("'.{key}' can't be looked up: '.{before}' {what}")));
            }
        };
    }
    Ok(value.clone())
}

/// Keys and values in the order that a range goes over them: Go sorts keys.
fn items(at: usize, value: Value) -> Result<Vec<(Value, Value)>, Wrong> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => Ok(list.into_iter().enumerate().map(|(place, item)| (place.into(), item)).collect()),
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
        }
        other => Err(Wrong::new(at, format!("a range goes over a list or a map, not over {}", kind(&other)))),
    }
}
