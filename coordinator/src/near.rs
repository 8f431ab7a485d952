//! Names to offer where another one was written. It does not know what they name.

/// The most names in one sentence.
const MOST: usize = 8;

/// Longer names are compared by their beginnings: a server's answer may hold anything.
const COMPARED_CHARS: usize = 128;

/// The names there are, those most like `wanted` first: `a, b, c and 5 more`, or `none`.
pub(crate) fn listed(wanted: &str, known: impl IntoIterator<Item = String>) -> String {
    let wanted = wanted.to_lowercase();
    let mut known: Vec<(usize, String)> = known.into_iter().map(|name| (unlike(&wanted, &name), name)).collect();
    known.sort();
    let rest = known.len().saturating_sub(MOST);
    let names: Vec<&str> = known.iter().take(MOST).map(|(_, name)| name.as_str()).collect();
    match (names.is_empty(), rest) {
        (true, _) => "none".to_owned(),
        (false, 0) => names.join(", "),
        (false, rest) => format!("{} and {rest} more", names.join(", ")),
    }
}

/// How far a name is from the one wanted, as a whole or without its package.
fn unlike(wanted: &str, name: &str) -> usize {
    let name = name.to_lowercase();
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    distance(wanted, &name).min(distance(&last(wanted), &last(&name)))
}

/// Insertions, deletions and replacements from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(COMPARED_CHARS).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.chars().take(COMPARED_CHARS).enumerate() {
        let mut diagonal = line;
        let mut beside = line + 1;
        for (cell, b) in row.iter_mut().zip(std::iter::once(None).chain(right.iter().map(Some))) {
            let above = *cell;
            *cell = match b {
                None => line + 1,
                Some(b) => (diagonal + usize::from(a != *b)).min(above + 1).min(beside + 1),
            };
            diagonal = above;
            beside = *cell;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_far_apart_as_they_have_edits() {
        let cases = [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)];
        for (left, right, expected) in cases {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn the_likeliest_comes_first_and_the_list_ends() {
        let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(listed("nmae", known(&["id", "colour", "name"])), "name, id, colour");
        assert_eq!(listed("Greter", known(&["a.Health", "hello.Greeter"])), "hello.Greeter, a.Health");
        assert_eq!(listed("x", known(&[])), "none");
        let many = (0..20).map(|n| format!("service{n:02}"));
        let list = listed("service07", many);
        assert!(list.starts_with("service07, ") && list.ends_with(" and 12 more"), "{list}");
    }
}
