//! The requests of a file: HTTP, gRPC, steps, checks, captures.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{Text, place, sourced};
use crate::spec::draft::{BodySource, DraftBody, DraftCheck, DraftGrpc, DraftRequest, DraftTls, Sourced};
use crate::spec::{Place, SpecError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Request {
    name: Option<Text>,
    weight: Option<Text>,
    http: Option<Http>,
    grpc: Option<Grpc>,
    /// One after the other, values carried from one to the next.
    steps: Option<Spanned<Vec<Spanned<Request>>>>,
    #[serde(default)]
    checks: Vec<Spanned<Check>>,
    #[serde(default)]
    capture: BTreeMap<String, Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Http {
    url: Text,
    method: Option<Text>,
    #[serde(default)]
    headers: BTreeMap<String, Text>,
    body: Option<Spanned<Body>>,
    /// Such as `[400-599]`.
    error_statuses: Option<Vec<Text>>,
    version: Option<Text>,
    connect_to: Option<Text>,
    tls: Option<Spanned<Tls>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    text: Option<String>,
    json: Option<Value>,
    file: Option<String>,
    url: Option<String>,
    content_type: Option<Text>,
    #[serde(default)]
    template: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Tls {
    ca: Option<Text>,
    cert: Option<Text>,
    key: Option<Text>,
    server_name: Option<Text>,
    #[serde(default)]
    insecure_skip_verify: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Grpc {
    target: Text,
    call: Text,
    proto: Option<Text>,
    #[serde(default)]
    import_paths: Vec<Text>,
    protoset: Option<Text>,
    data: Option<Spanned<Value>>,
    data_file: Option<Text>,
    data_url: Option<Text>,
    #[serde(default)]
    metadata: BTreeMap<String, Text>,
    deadline: Option<Text>,
    authority: Option<Text>,
    message_interval: Option<Text>,
    connect_to: Option<Text>,
    tls: Option<Spanned<Tls>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Check {
    status: Option<String>,
    header: Option<String>,
    equals: Option<Value>,
    contains: Option<String>,
    body_contains: Option<String>,
    json: Option<String>,
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
        url: Some(sourced(http.url)),
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
