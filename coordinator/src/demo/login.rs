//! Tokens that the service gives and knows again without remembering them.
//!
//! They keep nobody out: whoever knows the seed can make one. What matters is that a script has to log in first.

use std::hash::{DefaultHasher, Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::HeaderValue;

const PREFIX: &str = "demo";

/// How long a token is said to hold, s. It holds for as long as the seed.
pub(super) const EXPIRES_S: u64 = 3600;

/// The user's token: always the same with the same seed.
pub(super) fn token(user: &str, seed: u64) -> String {
    let mut hasher = DefaultHasher::new();
    (seed, user).hash(&mut hasher);
    format!("{PREFIX}.{}.{:016x}", URL_SAFE_NO_PAD.encode(user), hasher.finish())
}

/// Whose token it is, if it was given with this seed.
pub(super) fn user_of(shown: &str, seed: u64) -> Option<String> {
    let user = shown.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.').next()?;
    let user = String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()?;
    (token(&user, seed) == shown).then_some(user)
}

/// The token in an `Authorization: Bearer ...`.
pub(super) fn bearer(authorization: &HeaderValue) -> Option<&str> {
    let (scheme, token) = authorization.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_again_with_its_seed_alone() {
        let given = token("ann", 1);
        assert_eq!(given, token("ann", 1));
        assert_eq!(user_of(&given, 1).as_deref(), Some("ann"));
        assert_eq!(user_of(&given, 2), None);
        let forged = given.replace(&URL_SAFE_NO_PAD.encode("ann"), &URL_SAFE_NO_PAD.encode("bob"));
        for wrong in ["", "demo", "demo.", "demo..", "demo.???.0", forged.as_str(), &format!("{given}.x")] {
            assert_eq!(user_of(wrong, 1), None, "{wrong}");
        }
    }

    #[test]
    fn bearers_are_read_whatever_the_case_of_the_scheme() {
        assert_eq!(bearer(&HeaderValue::from_static("Bearer abc")), Some("abc"));
        assert_eq!(bearer(&HeaderValue::from_static("bearer  abc ")), Some("abc"));
        assert_eq!(bearer(&HeaderValue::from_static("Basic abc")), None);
        assert_eq!(bearer(&HeaderValue::from_static("Bearer")), None);
    }
}
