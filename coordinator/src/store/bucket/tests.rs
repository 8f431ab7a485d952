use super::*;
use crate::outside::server::{Server, answer};
use crate::store::Cause;
use crate::store::tests::block_on;

const SECRET: &str = "hush-hush-hush";

fn environment(pairs: &[(&str, &str)]) -> Environment {
    let keys = [("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_SESSION_TOKEN", SECRET)];
    keys.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn bucket(url: &str) -> Bucket {
    Bucket::new("runs-b", "p", &environment(&[("AWS_ENDPOINT_URL", url)])).unwrap()
}

fn failure(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>")
}

/// What a list says of this answer.
fn listed(status: &str, body: &str) -> Error {
    let server = Server::start(vec![answer(status, "Content-Type: application/xml\r\n", body); RETRIES + 1]);
    block_on(bucket(&server.url).listing("runs")).unwrap_err()
}

#[test]
fn each_answer_of_s3_has_its_sentence() {
    let cases = [
        ("404 Not Found", failure("NoSuchBucket"), Cause::Usage, "no bucket 'runs-b' at http://127.0.0.1"),
        ("403 Forbidden", failure("AccessDenied"), Cause::Denied, "s3:ListBucket"),
        ("403 Forbidden", failure("InvalidAccessKeyId"), Cause::Denied, "check AWS_ACCESS_KEY_ID"),
        ("403 Forbidden", failure("SignatureDoesNotMatch"), Cause::Denied, "(SignatureDoesNotMatch)"),
        ("400 Bad Request", failure("ExpiredToken"), Cause::Denied, "AWS_SESSION_TOKEN"),
        ("400 Bad Request", failure("AuthorizationHeaderMalformed"), Cause::Usage, "set AWS_REGION"),
        ("301 Moved Permanently", failure("PermanentRedirect"), Cause::Usage, "set AWS_REGION"),
        ("507 Insufficient Storage", failure("XMinioStorageFull"), Cause::Full, "is full (XMinioStorageFull)"),
        ("400 Bad Request", "no XML".to_owned(), Cause::Failed, "status 400"),
        ("200 OK", "no XML".to_owned(), Cause::Failed, "it broke off"),
    ];
    for (status, body, cause, part) in cases {
        let error = listed(status, &body);
        let text = error.to_string();
        assert_eq!(error.cause(), cause, "{status} {body}: {text}");
        assert!(text.contains(part), "{status} {body}: {text}");
        assert!(!text.contains(SECRET) && !text.contains("AKIDEXAMPLE"), "{text}");
    }
}

#[test]
fn each_way_to_be_refused_names_what_was_done() {
    let denied = || {
        let script = vec![answer("403 Forbidden", "", &failure("AccessDenied"))];
        let server = Server::start(script);
        (bucket(&server.url), server)
    };
    block_on(async {
        let (bucket, _server) = denied();
        let error = bucket.write("runs/x", b"x".to_vec()).await.unwrap_err();
        assert!(error.to_string().starts_with("the store s3://runs-b/p can't be written (AccessDenied)"), "{error}");
        let (bucket, _server) = denied();
        let error = bucket.read("runs/x").await.unwrap_err();
        assert!(error.to_string().contains("can't be read"), "{error}");
        let (bucket, _server) = denied();
        let error = bucket.remove("runs/x").await.unwrap_err();
        assert!(error.to_string().contains("can't be removed from"), "{error}");
        let (bucket, _server) = denied();
        let error = bucket.beginnings(vec![("runs/x".into(), 10)]).await.unwrap_err();
        assert_eq!(error.cause(), Cause::Denied);
    });
}

#[test]
fn an_object_that_is_gone_is_no_error_but_a_missing_bucket_is() {
    let of = |code: &str| {
        let server = Server::start(vec![answer("404 Not Found", "", &failure(code))]);
        block_on(bucket(&server.url).read("runs/x"))
    };
    assert_eq!(of("NoSuchKey"), Ok(None));
    assert_eq!(of("NoSuchBucket").unwrap_err().cause(), Cause::Usage);
}

#[test]
fn a_run_is_one_put_that_is_signed_and_names_no_secret() {
    let server = Server::start(vec![answer("200 OK", "ETag: \"x\"\r\n", "")]);
    block_on(bucket(&server.url).write("runs/x.jsonl", b"{}\n{}\n".to_vec())).unwrap();
    let asked = server.asked();
    assert!(asked.starts_with("PUT /runs-b/p/runs/x.jsonl HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\n{}\n{}\n"), "{asked}");
    let lower = asked.to_lowercase();
    assert!(lower.contains("authorization: aws4-hmac-sha256 credential=akidexample/"), "{asked}");
    assert!(lower.contains("/us-east-1/s3/aws4_request"), "{asked}");
}

/// The library lists no name with an empty part: then it is said which object it is.
#[test]
fn an_object_that_stands_in_the_way_is_named() {
    let key = "p/runs//odd";
    let contents = "<Size>1</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>x</ETag>";
    let body = format!("<ListBucketResult><Contents><Key>{key}</Key>{contents}</Contents></ListBucketResult>");
    let server = Server::start(vec![answer("200 OK", "Content-Type: application/xml\r\n", &body)]);
    let error = block_on(bucket(&server.url).listing("runs")).unwrap_err();
    assert_eq!(error.cause(), Cause::Damaged);
    assert!(error.to_string().contains("'p/runs//odd': remove that object"), "{error}");
}

#[test]
fn where_nobody_listens_the_place_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = block_on(bucket(&url).listing("runs")).unwrap_err();
    assert_eq!(error.cause(), Cause::Unreachable);
    let text = error.to_string();
    assert!(text.starts_with(&format!("the store s3://runs-b/p can't be reached at {url} (")), "{text}");
    assert!(text.contains("efused"), "{text}");
}

#[test]
fn an_environment_that_does_not_fit_is_refused_without_its_values() {
    let of = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let error = Bucket::new("b", "", &pairs.collect()).unwrap_err();
        assert_eq!(error.cause(), Cause::Usage);
        assert!(!error.to_string().contains(SECRET), "{error}");
        error.to_string()
    };
    assert!(of(&[("AWS_ACCESS_KEY_ID", SECRET)]).contains("AWS_SECRET_ACCESS_KEY is not: set both"));
    assert!(of(&[("AWS_SECRET_ACCESS_KEY", SECRET)]).contains("AWS_ACCESS_KEY_ID is not: set both"));
    assert!(of(&[("AWS_ENDPOINT_URL", "localhost:9000")]).starts_with("AWS_ENDPOINT_URL is no URL"));
    let with_secret = format!("http://me:{SECRET}@host");
    assert!(of(&[("AWS_ENDPOINT_URL_S3", &with_secret)]).starts_with("AWS_ENDPOINT_URL_S3 holds credentials"));
    assert!(of(&[("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", SECRET)]).contains("AWS_*"));
}
