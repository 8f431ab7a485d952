//! Secrets by reference: `${env:NAME}` and `${file:PATH}` in URLs, headers and bodies.
//!
//! What they stand for goes to the workers and to the target, and nowhere else: errors name the reference alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where references are looked up.
#[derive(Clone, Debug)]
pub enum References {
    /// The environment and the files of this process.
    Here,
    /// What came with the test, and nothing of this process: by reference, as written between the braces.
    Given(BTreeMap<String, String>),
    /// Files below one folder (mounted Secrets), and nothing else of this process.
    Mounted(PathBuf),
}

/// Replaces every reference by what it stands for in this process; see [`References::resolve`].
///
/// # Errors
/// The reference that stands for nothing, and what to do.
pub fn resolve(text: &str) -> Result<String, String> {
    References::Here.resolve(text)
}

/// What stands between the braces of a text's references.
///
/// # Errors
/// A brace without its end.
pub fn references(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    replace(text, &mut |reference| {
        found.push(reference.to_owned());
        Ok(String::new())
    })?;
    Ok(found)
}

impl References {
    /// Replaces every reference. `$${` stands for a literal `${`.
    ///
    /// # Errors
    /// The reference that stands for nothing, and what to do.
    pub fn resolve(&self, text: &str) -> Result<String, String> {
        replace(text, &mut |reference| self.value(reference))
    }

    /// What one reference stands for.
    ///
    /// # Errors
    /// As [`References::resolve`].
    pub fn value(&self, reference: &str) -> Result<String, String> {
        match (self, reference.split_once(':')) {
            (References::Here, Some(("env", name))) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set: export it first"))
            }
            (References::Here, Some(("file", path))) => read(Path::new(path), path),
            (References::Given(given), Some(("env" | "file", _))) => {
                given.get(reference).cloned().ok_or_else(|| format!("${{{reference}}} did not come with the test"))
            }
            (References::Mounted(_), Some(("env", name))) => Err(format!(
                "${{env:{name}}}: a resource has no environment: mount a Secret (the chart's secrets) and write ${{file:NAME/KEY}}"
            )),
            (References::Mounted(folder), Some(("file", path))) => {
                let place = below(folder, path)
                    .ok_or_else(|| format!("${{file:{path}}} leaves the mounted Secrets: write ${{file:NAME/KEY}}"))?;
                read(&place, path)
            }
            _ => {
                Err(format!("${{{reference}}} is no reference: write ${{env:NAME}} or ${{file:PATH}}, or $${{ for ${{"))
            }
        }
    }
}

/// A path that can't lead out of its folder.
pub fn below(folder: &Path, path: &str) -> Option<PathBuf> {
    let inside = !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    inside.then(|| folder.join(path))
}

fn read(place: &Path, shown: &str) -> Result<String, String> {
    fs::read_to_string(place)
        // Files end in a line's end that is not part of the secret.
        .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
        .map_err(|error| format!("the file {shown} can't be read ({error})"))
}

fn replace(text: &str, value: &mut dyn FnMut(&str) -> Result<String, String>) -> Result<String, String> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            resolved.push_str(before);
            resolved.push_str("${");
            rest = &reference[2..];
            continue;
        }
        resolved.push_str(before);
        let end =
            reference.find('}').ok_or_else(|| format!("'{reference}' has no closing brace; write $${{ for ${{"))?;
        resolved.push_str(&value(&reference[2..end])?);
        rest = &reference[end + 1..];
    }
    resolved.push_str(rest);
    Ok(resolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_and_escapes_kept() {
        let path = std::env::temp_dir().join(format!("loadgrid-secret-{}", std::process::id()));
        fs::write(&path, "s3cret\n").unwrap();
        let text = format!("Bearer ${{file:{}}} and $${{env:X}}", path.display());
        assert_eq!(resolve(&text).unwrap(), "Bearer s3cret and ${env:X}");
        fs::remove_file(&path).unwrap();
        assert_eq!(resolve("plain $ {x}").unwrap(), "plain $ {x}");
    }

    #[test]
    fn what_came_with_a_test_is_all_that_it_sees() {
        let given = References::Given(BTreeMap::from([("env:TOKEN".to_owned(), "t".to_owned())]));
        assert_eq!(given.resolve("a ${env:TOKEN}").unwrap(), "a t");
        assert!(given.resolve("${env:PATH}").unwrap_err().contains("did not come"));
        assert!(given.resolve("${file:/etc/hostname}").unwrap_err().contains("did not come"));
    }

    #[test]
    fn mounted_secrets_are_not_left() {
        let folder = std::env::temp_dir().join(format!("loadgrid-mounted-{}", std::process::id()));
        fs::create_dir_all(folder.join("api")).unwrap();
        fs::write(folder.join("api/token"), "m\n").unwrap();
        let mounted = References::Mounted(folder.clone());
        assert_eq!(mounted.resolve("${file:api/token}").unwrap(), "m");
        for path in ["../secret", "/etc/passwd", "api/../../x", ""] {
            assert!(mounted.resolve(&format!("${{file:{path}}}")).unwrap_err().contains("NAME/KEY"), "{path}");
        }
        assert!(mounted.resolve("${env:HOME}").unwrap_err().contains("no environment"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_stands_for_nothing_is_an_error() {
        assert!(resolve("${env:LOADGRID_NO_SUCH_NAME}").unwrap_err().contains("LOADGRID_NO_SUCH_NAME"));
        assert!(resolve("${file:/no/such/file}").unwrap_err().contains("/no/such/file"));
        assert!(resolve("${vault:x}").unwrap_err().contains("no reference"));
        assert!(resolve("${env:X").unwrap_err().contains("closing brace"));
    }
}
