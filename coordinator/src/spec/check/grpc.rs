//! One gRPC call of a draft.

use loadgrid_worker::client::grpc::{Grpc, Kind};
use loadgrid_worker::client::request::Request;
use loadgrid_worker::client::secure::Version;
use serde_json::Value;

use super::request::{Checkup, checks, header_value, host_port, tls};
use super::{Base, Checked, optional, required};
use crate::grpc::Schema;
use crate::spec::complete::{DataSource, Pending, PendingCall, SchemaSource};
use crate::spec::draft::{DraftGrpc, DraftRequest, Sourced};
use crate::spec::{SpecError, units};

pub(super) fn grpc(draft: &DraftRequest, call: &DraftGrpc, number: usize, base: Base) -> Checked<Checkup> {
    let (host, port) = required(&call.target, |text| target(text, base))?;
    let tls = draft.tls.as_ref().map(|given| tls(Some(given), Version::Http2, &host, base)).transpose()?;
    let mut headers = Vec::new();
    for (name, value) in &call.metadata {
        let name = name.to_ascii_lowercase();
        if name.starts_with("grpc-") || ["te", "content-type"].contains(&name.as_str()) {
            let message = format!("metadata '{name}' is gRPC's own: leave it out");
            return Err(SpecError::new(value.place.clone(), message));
        }
        headers.push((name.clone(), header_value(&name, value, base)?));
    }
    let deadline_ns = optional(&call.deadline, |text| match units::duration_ns(text)? {
        0 => Err("a deadline of zero: no call could be answered".to_owned()),
        deadline => Ok(deadline),
    })?;
    let message_interval_ns = optional(&call.message_interval, units::duration_ns)?.unwrap_or(0);
    let request = Request {
        method: "POST".to_owned(),
        templated: headers.iter().any(|(_, value)| value.contains("{{")),
        headers,
        version: Version::Http2,
        tls,
        connect_to: optional(&draft.connect_to, host_port)?,
        authority: call.authority.as_ref().map(|authority| authority.value.clone()),
        checks: checks(draft, true)?,
        // Its kind and messages come with the schema.
        grpc: Some(Grpc { kind: Kind::Unary, messages: Vec::new(), deadline_ns, message_interval_ns }),
        host,
        port,
        ..Request::default()
    };
    let pending = PendingCall {
        request: number,
        call: call.call.clone(),
        schema: schema(call, base)?,
        data: data(call, base)?,
        place: data_place(call),
    };
    let url = format!("{} {}", call.target.value, call.call.value);
    Ok(Checkup { request, url, pending: Some(Pending::Call(Box::new(pending))) })
}

fn target(text: &str, base: Base) -> Result<(String, u16), String> {
    let resolved = base.resolve(text)?;
    if resolved.contains("://") {
        return Err(format!("'{text}' has a scheme: write host:port, and tls: {{}} for TLS"));
    }
    host_port(&resolved)
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

fn schema(call: &DraftGrpc, base: Base) -> Checked<SchemaSource> {
    let import_paths = || call.import_paths.iter().map(|path| base.path(&path.value)).collect();
    match (&call.proto, &call.protoset) {
        (Some(_), Some(protoset)) => {
            Err(SpecError::new(protoset.place.clone(), "give either proto or protoset, not both"))
        }
        (Some(proto), None) if is_url(&proto.value) => Ok(SchemaSource::ProtoUrl(proto.clone(), import_paths())),
        (Some(proto), None) => {
            let name = base.path(&proto.value).display().to_string();
            let schema = Schema::Proto { name, text: None, import_paths: import_paths() };
            Ok(SchemaSource::Local(schema, proto.place.clone()))
        }
        (None, _) if !call.import_paths.is_empty() => {
            let place = call.import_paths[0].place.clone();
            Err(SpecError::new(place, "importPaths are for proto: give one, or leave them out"))
        }
        (None, Some(protoset)) if is_url(&protoset.value) => Ok(SchemaSource::ProtosetUrl(protoset.clone())),
        (None, Some(protoset)) => {
            Ok(SchemaSource::Local(Schema::Protoset(base.read(protoset)?), protoset.place.clone()))
        }
        (None, None) => Ok(SchemaSource::Reflection),
    }
}

fn data_place(call: &DraftGrpc) -> crate::spec::Place {
    let sourced = call.data_file.as_ref().or(call.data_url.as_ref()).map(|data| data.place.clone());
    call.data.as_ref().map(|data| data.place.clone()).or(sourced).unwrap_or(call.call.place.clone())
}

fn data(call: &DraftGrpc, base: Base) -> Checked<DataSource> {
    match (&call.data, &call.data_file, &call.data_url) {
        (None, None, None) => Ok(DataSource::Value(Value::Null)),
        (Some(data), None, None) => Ok(DataSource::Value(resolved(&data.value, data, base)?)),
        (None, Some(path), None) => {
            let text = base.read(path)?;
            parse_data(&text).map(DataSource::Value).map_err(|error| {
                SpecError::new(
                    path.place.clone(),
                    format!("the file {} is neither JSON nor YAML ({error})", path.value),
                )
            })
        }
        (None, None, Some(url)) => Ok(DataSource::Url(url.clone())),
        _ => Err(SpecError::new(data_place(call), "give one of data, dataFile and dataUrl")),
    }
}

/// JSON, or YAML.
pub(in crate::spec) fn parse_data(text: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    serde_saphyr::from_str(text).map_err(|error| error.without_snippet().to_string())
}

/// Data with its secrets.
fn resolved(value: &Value, source: &Sourced<Value>, base: Base) -> Checked<Value> {
    Ok(match value {
        Value::String(text) => {
            Value::String(base.resolve(text).map_err(|error| SpecError::new(source.place.clone(), error))?)
        }
        Value::Array(list) => {
            Value::Array(list.iter().map(|item| resolved(item, source, base)).collect::<Checked<_>>()?)
        }
        Value::Object(map) => Value::Object(
            map.iter().map(|(key, item)| Ok((key.clone(), resolved(item, source, base)?))).collect::<Checked<_>>()?,
        ),
        other => other.clone(),
    })
}
