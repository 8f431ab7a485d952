//! Secrets by reference: `${env:NAME}` and `${file:PATH}` in URLs, headers and bodies.
//!
//! What they stand for goes to the workers and to the target, and nowhere else: errors name the reference alone.

use std::fs;

/// Replaces every reference. `$${` stands for a literal `${`.
///
/// # Errors
/// The reference that stands for nothing, and what to do.
pub fn resolve(text: &str) -> Result<String, String> {
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

fn value(reference: &str) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => {
            std::env::var(name).map_err(|_| format!("the environment variable {name} is not set: export it first"))
        }
        Some(("file", path)) => fs::read_to_string(path)
            // Files end in a line's end that is not part of the secret.
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| format!("the file {path} can't be read ({error})")),
        _ => Err(format!("${{{reference}}} is no reference: write ${{env:NAME}} or ${{file:PATH}}, or $${{ for ${{")),
    }
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
    fn what_stands_for_nothing_is_an_error() {
        assert!(resolve("${env:LOADGRID_NO_SUCH_NAME}").unwrap_err().contains("LOADGRID_NO_SUCH_NAME"));
        assert!(resolve("${file:/no/such/file}").unwrap_err().contains("/no/such/file"));
        assert!(resolve("${vault:x}").unwrap_err().contains("no reference"));
        assert!(resolve("${env:X").unwrap_err().contains("closing brace"));
    }
}
