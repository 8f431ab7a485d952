//! The `if:` of a task: the part of the expression language that asks about an experiment. What follows from the
//! answer is not known here.

use super::Iter8Error;
use super::experiment::Experiment;

/// How deep parentheses and negations may be nested.
const DEPTH_MAX: usize = 64;

/// Evaluates a condition.
///
/// # Errors
/// Its place is `column N`, counted from 1.
pub fn evaluate(text: &str, experiment: &Experiment) -> Result<bool, Iter8Error> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.chars().count() + 1, depth: 0, experiment };
    let value = parser.or()?;
    if let Some((token, column)) = parser.tokens.get(parser.at) {
        return Err(wrong(*column, format!("{} is not expected here", token.show())));
    }
    match value {
        Value::Bool(value) => Ok(value),
        other => Err(wrong(1, format!("the condition is {}: it must be true or false, such as SLOs()", other.kind()))),
    }
}

fn wrong(column: usize, message: impl Into<String>) -> Iter8Error {
    Iter8Error::new(format!("column {column}"), message)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A name, with its dots.
    Name(String),
    Number(f64),
    Text(String),
    /// An operator or a bracket.
    Sign(&'static str),
}

impl Token {
    fn show(&self) -> String {
        match self {
            Token::Name(name) => format!("'{name}'"),
            Token::Number(number) => format!("{number}"),
            Token::Text(text) => format!("{text:?}"),
            Token::Sign(sign) => format!("'{sign}'"),
        }
    }
}

/// Longer ones first.
const SIGNS: [&str; 13] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", "-", "+"];

/// Tokens and the columns where they begin.
fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Iter8Error> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    let run =
        |from: usize, is: fn(char) -> bool| -> String { chars.iter().skip(from).take_while(|c| is(**c)).collect() };
    while let Some(first) = chars.get(at).copied() {
        let column = at + 1;
        if first.is_whitespace() {
            at += 1;
        } else if first.is_alphabetic() || first == '_' {
            let name = run(at, |c| c.is_alphanumeric() || c == '_' || c == '.');
            at += name.chars().count();
            found.push((Token::Name(name), column));
        } else if first.is_ascii_digit() {
            let digits = run(at, |c| c.is_ascii_digit() || c == '.' || c == '_');
            at += digits.len();
            let number = digits.replace('_', "").parse();
            found.push((Token::Number(number.map_err(|_| wrong(column, format!("'{digits}' is no number")))?), column));
        } else if first == '"' || first == '\'' {
            let inside: String = chars.iter().skip(at + 1).take_while(|c| **c != first).collect();
            at += inside.chars().count() + 2;
            if at > chars.len() {
                return Err(wrong(column, "the text has no closing quote"));
            }
            found.push((Token::Text(inside), column));
        } else {
            let rest: String = chars.iter().skip(at).take(2).collect();
            let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) else {
                return Err(wrong(column, format!("'{first}' is not known in a condition")));
            };
            at += sign.len();
            found.push((Token::Sign(sign), column));
        }
    }
    Ok(found)
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
        }
    }
}

struct Parser<'a> {
    tokens: &'a [(Token, usize)],
    at: usize,
    /// The column behind the text.
    end: usize,
    depth: usize,
    experiment: &'a Experiment,
}

impl Parser<'_> {
    fn column(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |(_, column)| *column)
    }

    /// Takes one of the words or signs, if it comes next.
    fn one_of(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let (token, _) = self.tokens.get(self.at)?;
        let found = words.iter().find(|word| match token {
            Token::Sign(sign) => sign == *word,
            Token::Name(name) => name == *word,
            _ => false,
        });
        self.at += usize::from(found.is_some());
        found.copied()
    }

    fn or(&mut self) -> Result<Value, Iter8Error> {
        let column = self.column();
        let mut left = self.and()?;
        while self.one_of(&["||", "or"]).is_some() {
            let right_column = self.column();
            let right = self.and()?;
            left = Value::Bool(truth(&left, column)? | truth(&right, right_column)?);
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Value, Iter8Error> {
        let column = self.column();
        let mut left = self.comparison()?;
        while self.one_of(&["&&", "and"]).is_some() {
            let right_column = self.column();
            let right = self.comparison()?;
            left = Value::Bool(truth(&left, column)? & truth(&right, right_column)?);
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Value, Iter8Error> {
        let left = self.unary()?;
        let column = self.column();
        let Some(sign) = self.one_of(&["==", "!=", "<=", ">=", "<", ">"]) else { return Ok(left) };
        let right = self.unary()?;
        let ordering = match (&left, &right) {
            (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
            (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
            (Value::Bool(left), Value::Bool(right)) if matches!(sign, "==" | "!=") => Some(left.cmp(right)),
            _ => {
                return Err(wrong(column, format!("'{sign}' can't compare {} with {}", left.kind(), right.kind())));
            }
        };
        let Some(ordering) = ordering else { return Ok(Value::Bool(sign == "!=")) };
        Ok(Value::Bool(match sign {
            "==" => ordering.is_eq(),
            "!=" => ordering.is_ne(),
            "<=" => ordering.is_le(),
            ">=" => ordering.is_ge(),
            "<" => ordering.is_lt(),
            _ => ordering.is_gt(),
        }))
    }

    fn unary(&mut self) -> Result<Value, Iter8Error> {
        let start = self.column();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(wrong(start, "the condition is nested too deeply"));
        }
        let value = match self.one_of(&["!", "not", "-", "+"]) {
            Some("!" | "not") => {
                let column = self.column();
                let value = self.unary()?;
                Value::Bool(!truth(&value, column)?)
            }
            Some(sign) => match self.unary()? {
                Value::Number(number) => Value::Number(if sign == "-" { -number } else { number }),
                other => return Err(wrong(start, format!("'{sign}' needs a number, not {}", other.kind()))),
            },
            None => self.primary()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn primary(&mut self) -> Result<Value, Iter8Error> {
        let column = self.column();
        let Some((token, _)) = self.tokens.get(self.at) else {
            return Err(wrong(column, "the condition ends here: something is missing"));
        };
        self.at += 1;
        match token {
            Token::Number(number) => Ok(Value::Number(*number)),
            Token::Text(text) => Ok(Value::Text(text.clone())),
            Token::Sign("(") => {
                let value = self.or()?;
                self.close()?;
                Ok(value)
            }
            Token::Name(name) => self.name(name, column),
            Token::Sign(sign) => Err(wrong(column, format!("'{sign}' is not expected here"))),
        }
    }

    fn close(&mut self) -> Result<(), Iter8Error> {
        let column = self.column();
        self.one_of(&[")"]).map(|_| ()).ok_or_else(|| wrong(column, "a closing parenthesis is missing"))
    }

    fn name(&mut self, name: &str, column: usize) -> Result<Value, Iter8Error> {
        let called = self.one_of(&["("]).is_some();
        if called {
            self.close()?;
        }
        let result = self.experiment.result.as_ref();
        let count = |of: fn(&super::ResultBody) -> u64| Value::Number(result.map_or(0, of) as f64);
        let (value, is_function) = match name {
            "true" | "false" => (Value::Bool(name == "true"), false),
            "SLOs" => (Value::Bool(self.experiment.slos_satisfied()), true),
            "Completed" => (Value::Bool(self.experiment.completed()), true),
            "NoFailure" => (Value::Bool(self.experiment.no_failure()), true),
            "Result.NumLoops" => (count(|result| result.num_loops), false),
            "Result.NumCompletedTasks" => (count(|result| result.num_completed_tasks), false),
            "Result.Failure" => (Value::Bool(result.is_some_and(|result| result.failure)), false),
            _ => {
                let known =
                    "SLOs(), Completed(), NoFailure(), Result.NumLoops, Result.NumCompletedTasks, Result.Failure";
                return Err(wrong(column, format!("'{name}' is not known here: there are {known}")));
            }
        };
        match (is_function, called) {
            (true, false) => Err(wrong(column, format!("'{name}' is a function: write {name}()"))),
            (false, true) => Err(wrong(column, format!("'{name}' is no function: write {name}"))),
            _ => Ok(value),
        }
    }
}

fn truth(value: &Value, column: usize) -> Result<bool, Iter8Error> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(wrong(column, format!("expected true or false, not {}", other.kind()))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ResultBody;
    use super::*;

    fn of(text: &str) -> Result<bool, Iter8Error> {
        let result = ResultBody { num_loops: 10, num_completed_tasks: 2, ..ResultBody::default() };
        evaluate(text, &Experiment { result: Some(result), ..Experiment::default() })
    }

    #[test]
    fn conditions() {
        for (text, expected) in [
            ("not SLOs()", true),
            ("SLOs()", false),
            ("!SLOs() && Result.NumLoops == 10", true),
            ("Result.NumLoops != 10 or Result.Failure", false),
            ("NoFailure() and not Completed()", true),
            ("true || false && false", true),
            ("(true || false) && false", false),
            ("Result.NumCompletedTasks >= 2.5 || 1_000 > 999", true),
            ("-1 < +1", true),
            ("\"a\" < 'b'", true),
            ("!!true", true),
            ("not (true == false)", true),
        ] {
            assert_eq!(of(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_have_columns() {
        for (text, column) in [
            ("", 1),
            ("SLOs", 1),
            ("Result.NumLoops()", 1),
            ("not Foo()", 5),
            ("true &&", 8),
            ("true true", 6),
            ("(true", 6),
            ("true && 1", 9),
            ("1 && true", 1),
            ("1 == true", 3),
            ("true < false", 6),
            ("1", 1),
            ("a ? b : c", 3),
            ("true # x", 6),
            ("'x", 1),
            ("1.2.3 == 1", 1),
            ("-true", 1),
            (")", 1),
        ] {
            assert_eq!(of(text).unwrap_err().place, format!("column {column}"), "{text}");
        }
        assert!(of(&"!".repeat(10_000)).unwrap_err().message.contains("deeply"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[a-zA-Z().!&|=<> 0-9'\"é-]{0,30}") {
            let _ = of(&text);
        }

        #[test]
        fn a_double_negation_is_none(left: bool, right: bool) {
            let text = format!("{left} && {right} || not {left}");
            prop_assert_eq!(of(&format!("not not ({text})")), of(&text));
        }
    }
}
