//! What of the process's environment the store heeds, as a value, so that tests bring their own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// HOME, XDG_DATA_HOME, XDG_CACHE_HOME and AWS_*. Empty ones are as good as none.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// What this process was started with.
    pub fn of_process() -> Self {
        // What is not UTF-8 is no place and no key of anyone's.
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those that S3 is spoken with.
    pub(super) fn aws(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter(|(name, _)| name.starts_with("AWS_")).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A base folder of the XDG specification: `variable`, or `otherwise` under the home folder.
    pub(super) fn base(&self, variable: &str, otherwise: &str) -> Option<PathBuf> {
        // A relative one is to be ignored, says the specification.
        let absolute = |name: &str| self.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(otherwise)))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        let heeded =
            |name: &str| matches!(name, "HOME" | "XDG_DATA_HOME" | "XDG_CACHE_HOME") || name.starts_with("AWS_");
        Environment(variables.into_iter().filter(|(name, value)| heeded(name) && !value.is_empty()).collect())
    }
}

/// The names alone: values are secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn base_folders_are_absolute_or_under_the_home_folder() {
        let base = |pairs: &[(&str, &str)]| environment(pairs).base("XDG_DATA_HOME", ".local/share");
        assert_eq!(base(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "/data")]), Some("/data".into()));
        assert_eq!(base(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "data")]), Some("/home/a/.local/share".into()));
        assert_eq!(base(&[("HOME", "/home/a"), ("XDG_DATA_HOME", "")]), Some("/home/a/.local/share".into()));
        assert_eq!(base(&[]), None);
    }

    #[test]
    fn no_value_is_shown_and_no_other_variable_kept() {
        let environment = environment(&[("AWS_SECRET_ACCESS_KEY", "hush"), ("PATH", "/bin")]);
        assert_eq!(format!("{environment:?}"), r#"{"AWS_SECRET_ACCESS_KEY"}"#);
    }
}
