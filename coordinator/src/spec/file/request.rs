//! The requests of a file: HTTP, gRPC, steps, checks, captures.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Text, place, sourced};
use crate::spec::draft::{BodySource, DraftBody, DraftCheck, DraftGrpc, DraftRequest, DraftTls, Sourced};
use crate::spec::schema::{Plain, Scalar, Spanned};
use crate::spec::{Place, SpecError};

/// A request: one of http, grpc and steps.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Request {
    /// Its metrics are `http-NAME/…` or `grpc-NAME/…`.
    name: Option<Text>,
    /// Its exact share of the arrivals; 1 by default.
    weight: Option<Text>,
    http: Option<Http>,
    grpc: Option<Grpc>,
    /// One after the other, values carried from one to the next.
    #[schemars(length(max = 100))]
    steps: Option<Spanned<Vec<Spanned<Request>>>>,
    /// A response for which one of these does not hold is an error.
    #[serde(default)]
    checks: Vec<Spanned<Check>>,
    /// Values of the response for later steps, by name: `json /POINTER` or `header NAME`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Plain>")]
    capture: BTreeMap<String, Text>,
}

/// An HTTP request.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Http {
    /// `http://` or `https://`; path and query may be templates. It may be left out, or a path alone, where the test waits
    /// for a ksvc.
    #[schemars(with = "Option<Plain>")]
    url: Option<Text>,
    /// GET by default, with a body POST.
    method: Option<Text>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    headers: BTreeMap<String, Text>,
    body: Option<Spanned<Body>>,
    /// Statuses that are errors, such as `[404, 500-599]`; `[400-999]` by default.
    error_statuses: Option<Vec<Text>>,
    /// 1.1, 2, or `auto` by ALPN.
    #[schemars(with = "Option<Scalar>")]
    version: Option<Text>,
    /// `host:port` that the socket goes to, where that is not the URL's.
    #[schemars(with = "Option<Plain>")]
    connect_to: Option<Text>,
    tls: Option<Spanned<Tls>>,
}

/// A body: one of text, json, file and url.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    /// May be a template.
    text: Option<String>,
    /// Sent as application/json; its texts may be templates.
    json: Option<Value>,
    /// A file's content.
    file: Option<String>,
    /// What is fetched once, before the load.
    #[schemars(with = "Option<Plain>")]
    url: Option<String>,
    content_type: Option<Text>,
    /// Whether what file or url bring is a template.
    #[serde(default)]
    template: bool,
}

/// How the other side is known, and what it is shown.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Tls {
    /// A PEM file with the authorities that are trusted instead of the platform's.
    ca: Option<Text>,
    /// A PEM file with the client's certificate, together with key.
    cert: Option<Text>,
    /// A PEM file with the client's key.
    key: Option<Text>,
    /// The name that is asked for and that the certificate must be for.
    server_name: Option<Text>,
    /// Takes any certificate; the report says so.
    #[serde(default)]
    insecure_skip_verify: bool,
}

/// A gRPC call. Its schema comes by reflection unless proto or protoset is there.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Grpc {
    /// `host:port`.
    #[schemars(with = "Plain")]
    target: Text,
    /// `package.Service/Method`.
    #[schemars(with = "Plain")]
    call: Text,
    /// A .proto file or its URL.
    proto: Option<Text>,
    /// Where imports of proto are.
    #[serde(default)]
    import_paths: Vec<Text>,
    /// A file of descriptors.
    protoset: Option<Text>,
    /// A message, or a list of messages that take turns; of a client's stream those of a call.
    data: Option<Spanned<Value>>,
    /// The same as a JSON file.
    data_file: Option<Text>,
    /// The same by URL.
    #[schemars(with = "Option<Plain>")]
    data_url: Option<Text>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    metadata: BTreeMap<String, Text>,
    /// Told to the server.
    deadline: Option<Text>,
    /// Instead of the target's.
    authority: Option<Text>,
    /// Between one message of the client and its next.
    message_interval: Option<Text>,
    /// `host:port` that the socket goes to, where that is not the target.
    #[schemars(with = "Option<Plain>")]
    connect_to: Option<Text>,
    tls: Option<Spanned<Tls>>,
}

/// One of status, header (with equals or contains), bodyContains, json with equals, and grpcCode.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Check {
    /// Such as 200 or 200-299.
    status: Option<String>,
    /// That it is there, or with equals or contains what it says.
    header: Option<String>,
    equals: Option<Value>,
    contains: Option<String>,
    body_contains: Option<String>,
    /// A JSON pointer.
    #[schemars(with = "Option<Plain>")]
    json: Option<String>,
    /// Such as OK or NOT_FOUND.
    grpc_code: Option<String>,
}

pub(super) fn request(request: Spanned<Request>) -> Result<DraftRequest, SpecError> {
    let own_place = place(&request);
    let Request { name, weight, http, grpc, steps, checks, capture } = request.value;
    let mut draft = match (http, grpc, &steps) {
        (Some(http), None, None) => self::http(http)?,
        (None, Some(grpc), None) => self::grpc(grpc),
        (None, None, Some(_)) => DraftRequest::default(),
        _ => return Err(SpecError::new(own_place, "a request is one of http: …, grpc: … or steps: […]")),
    };
    draft.steps = match steps {
        Some(steps) => Some(Sourced {
            place: place(&steps),
            value: steps.value.into_iter().map(self::request).collect::<Result<_, _>>()?,
        }),
        None => None,
    };
    let check = |check: Spanned<Check>| {
        let place = place(&check);
        let Check { status, header, equals, contains, body_contains, json, grpc_code } = check.value;
        Sourced { value: DraftCheck { status, header, equals, contains, body_contains, json, grpc_code }, place }
    };
    Ok(DraftRequest {
        place: Some(own_place),
        name: name.map(sourced),
        weight: weight.map(sourced),
        checks: checks.into_iter().map(check).collect(),
        captures: texts(capture),
        ..draft
    })
}

fn texts(map: BTreeMap<String, Text>) -> Vec<(String, Sourced)> {
    map.into_iter().map(|(name, value)| (name, sourced(value))).collect()
}

fn http(http: Http) -> Result<DraftRequest, SpecError> {
    Ok(DraftRequest {
        url: http.url.map(sourced),
        method: http.method.map(sourced),
        headers: texts(http.headers),
        body: http.body.map(body).transpose()?,
        error_statuses: http.error_statuses.map(|ranges| ranges.into_iter().map(sourced).collect()),
        version: http.version.map(sourced),
        connect_to: http.connect_to.map(sourced),
        tls: http.tls.map(tls),
        ..DraftRequest::default()
    })
}

fn body(body: Spanned<Body>) -> Result<DraftBody, SpecError> {
    let place = place(&body);
    let Body { text, json, file, url, content_type, template } = body.value;
    let source = match (text, json, file, url) {
        (Some(text), None, None, None) => BodySource::Text(text),
        (None, Some(json), None, None) => BodySource::Json(json),
        (None, None, Some(file), None) => BodySource::File(file),
        (None, None, None, Some(url)) => BodySource::Url(url),
        _ => return Err(SpecError::new(place, "a body is one of text: …, json: …, file: PATH or url: URL")),
    };
    Ok(DraftBody { place, source, template, content_type: content_type.map(sourced) })
}

pub(super) fn tls(tls: Spanned<Tls>) -> Sourced<DraftTls> {
    let place: Place = place(&tls);
    let Tls { ca, cert, key, server_name, insecure_skip_verify } = tls.value;
    let value = DraftTls {
        ca: ca.map(sourced),
        cert: cert.map(sourced),
        key: key.map(sourced),
        server_name: server_name.map(sourced),
        insecure_skip_verify,
    };
    Sourced { value, place }
}

fn grpc(grpc: Grpc) -> DraftRequest {
    let draft = DraftGrpc {
        target: sourced(grpc.target),
        call: sourced(grpc.call),
        proto: grpc.proto.map(sourced),
        import_paths: grpc.import_paths.into_iter().map(sourced).collect(),
        protoset: grpc.protoset.map(sourced),
        data: grpc.data.map(|data| Sourced { place: place(&data), value: data.value }),
        data_file: grpc.data_file.map(sourced),
        data_url: grpc.data_url.map(sourced),
        metadata: texts(grpc.metadata),
        deadline: grpc.deadline.map(sourced),
        authority: grpc.authority.map(sourced),
        message_interval: grpc.message_interval.map(sourced),
    };
    DraftRequest {
        grpc: Some(draft),
        connect_to: grpc.connect_to.map(sourced),
        tls: grpc.tls.map(tls),
        ..DraftRequest::default()
    }
}
