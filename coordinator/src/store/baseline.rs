//! Which run of a test the others are measured against, as a small file. What it is used for it does not know.

use serde::{Deserialize, Serialize};

use super::format::Fault;

/// The version of this shape.
const SCHEMA: &str = "loadgrid.dev/baseline/v1";
const FAMILY: &str = "loadgrid.dev/baseline/";

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct File {
    schema: String,
    test: String,
    run: String,
}

/// The name of a test's file. Names of tests are made of letters, digits, '-', '_' and '.'; what is not is written as
/// its bytes, so that nothing else is ever named.
pub(super) fn file_name(test: &str) -> String {
    let mut name = String::with_capacity(test.len() + 5);
    for byte in test.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("={byte:02X}"));
        }
    }
    name.push_str(".json");
    name
}

pub(super) fn encode(test: &str, run: &str) -> Result<Vec<u8>, String> {
    let file = File { schema: SCHEMA.to_owned(), test: test.to_owned(), run: run.to_owned() };
    let mut bytes = serde_json::to_vec(&file).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// (test, run) of a file of this name.
pub(super) fn decode(name: &str, bytes: &[u8]) -> Result<(String, String), Fault> {
    #[derive(Deserialize)]
    struct Versioned {
        schema: Option<String>,
    }
    let versioned: Versioned =
        serde_json::from_slice(bytes).map_err(|error| if error.is_eof() { Fault::Torn } else { Fault::Foreign })?;
    match versioned.schema {
        Some(schema) if schema == SCHEMA => {}
        Some(schema) if schema.starts_with(FAMILY) => return Err(Fault::Newer { schema }),
        _ => return Err(Fault::Foreign),
    }
    let file: File = serde_json::from_slice(bytes).map_err(|_| Fault::Altered)?;
    if file_name(&file.test) != name {
        return Err(Fault::Misnamed);
    }
    let run = ulid::Ulid::from_string(&file.run).map_err(|_| Fault::Altered)?;
    Ok((file.test, run.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_stay_in_their_folder() {
        assert_eq!(file_name("checkout-v1.2_x"), "checkout-v1.2_x.json");
        assert_eq!(file_name("../../etc/passwd"), "..=2F..=2Fetc=2Fpasswd.json");
        assert_eq!(file_name("ä b"), "=C3=A4=20b.json");
        assert_ne!(file_name("a=2F"), file_name("a/"));
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_is_named() {
        let run = "01JA0000000000000000000000";
        let bytes = encode("checkout", run).unwrap();
        assert_eq!(decode("checkout.json", &bytes), Ok(("checkout".to_owned(), run.to_owned())));
        assert_eq!(decode("other.json", &bytes), Err(Fault::Misnamed));
        // All but the newline has to be there.
        for length in 0..bytes.len() - 1 {
            assert_eq!(decode("checkout.json", &bytes[..length]), Err(Fault::Torn), "{length}");
        }
        let newer = String::from_utf8(bytes).unwrap().replace("/v1", "/v2");
        assert_eq!(
            decode("checkout.json", newer.as_bytes()),
            Err(Fault::Newer { schema: "loadgrid.dev/baseline/v2".into() })
        );
        let newer = newer.replace("baseline/v2", "baseline/v1").replace(run, "../x");
        assert_eq!(decode("checkout.json", newer.as_bytes()), Err(Fault::Altered));
        assert_eq!(decode("x.json", b"[1]"), Err(Fault::Foreign));
    }
}
