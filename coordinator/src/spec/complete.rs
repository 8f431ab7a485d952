//! What a test needs from elsewhere before it can be sent: bodies and schemas by URL, reflection; and the messages that
//! come of a schema.

use loadgrid_worker::client::prepared;
use loadgrid_worker::client::template::Names;
use prost_reflect::DescriptorPool;
use serde_json::Value;

use super::check::grpc_data;
use super::draft::Sourced;
use super::{LoadTest, Place, SpecError};
use crate::grpc::{self, Schema, Server};
use crate::outside::fetch;

/// What a request still lacks.
#[derive(Clone, Debug)]
pub enum Pending {
    Body { request: usize, url: String, place: Place },
    Call(Box<PendingCall>),
}

/// A gRPC call without its messages.
#[derive(Clone, Debug)]
pub struct PendingCall {
    pub request: usize,
    pub call: Sourced,
    pub schema: SchemaSource,
    pub data: DataSource,
    /// Where the data stands.
    pub place: Place,
}

#[derive(Clone, Debug)]
pub enum SchemaSource {
    Reflection,
    ProtoUrl(Sourced, Vec<std::path::PathBuf>),
    ProtosetUrl(Sourced),
    Local(Schema, Place),
}

#[derive(Clone, Debug)]
pub enum DataSource {
    Value(Value),
    Url(Sourced),
}

/// Reflection may take so long.
const REFLECTION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// Finishes what needs nothing from elsewhere.
pub(super) fn finish_local(test: &mut LoadTest) -> Result<(), SpecError> {
    for pending in std::mem::take(&mut test.pending) {
        let Pending::Call(call) = &pending else {
            test.pending.push(pending);
            continue;
        };
        let pool = match &call.schema {
            SchemaSource::Local(schema, place) => {
                grpc::local_pool(schema).map_err(|error| SpecError::new(place.clone(), error))?
            }
            _ => None,
        };
        match (pool, &call.data) {
            (Some(pool), DataSource::Value(data)) => finish_call(test, call, &pool, data)?,
            // A call that does not exist is found at once all the same.
            (Some(pool), DataSource::Url(_)) => {
                find(&pool, call)?;
                test.pending.push(pending);
            }
            (None, _) => test.pending.push(pending),
        }
    }
    Ok(())
}

/// Fetches everything that is still missing.
///
/// # Errors
/// What can't be had, or is not what it should be, with its place in the test.
pub async fn complete(test: &mut LoadTest) -> Result<(), SpecError> {
    let file = test.file.clone();
    fetch_all(test).await.map_err(|error| SpecError { file, ..error })
}

async fn fetch_all(test: &mut LoadTest) -> Result<(), SpecError> {
    for pending in std::mem::take(&mut test.pending) {
        match pending {
            Pending::Body { request, url, place } => {
                let body = get(&url).await.map_err(|error| SpecError::elsewhere(place, error))?;
                if let Some(request) = test.requests.get_mut(request) {
                    request.body_templated &= body.windows(2).any(|pair| pair == b"{{");
                    request.body = body;
                }
            }
            Pending::Call(call) => {
                let pool = pool(test, &call).await?;
                let data = match &call.data {
                    DataSource::Value(data) => data.clone(),
                    DataSource::Url(url) => {
                        let wrong = |error| SpecError::elsewhere(url.place.clone(), error);
                        let text = get(&url.value).await.map_err(wrong)?;
                        grpc_data(&text)
                            .map_err(|error| wrong(format!("what is there is neither JSON nor YAML ({error})")))?
                    }
                };
                finish_call(test, &call, &pool, &data)?;
            }
        }
    }
    check_templates(test)
}

async fn get(url: &str) -> Result<Vec<u8>, String> {
    fetch::get_once_async(url.to_owned()).await
}

async fn pool(test: &LoadTest, call: &PendingCall) -> Result<DescriptorPool, SpecError> {
    let (schema, place) = match &call.schema {
        SchemaSource::Local(schema, place) => (schema.clone(), place.clone()),
        SchemaSource::ProtoUrl(url, import_paths) => {
            let wrong = |error| SpecError::elsewhere(url.place.clone(), error);
            let text = get(&url.value).await.map_err(wrong)?;
            let text = String::from_utf8(text).map_err(|_| wrong("what is there is no text".to_owned()))?;
            let name = url.value.rsplit('/').next().unwrap_or("schema.proto").to_owned();
            (Schema::Proto { name, text: Some(text), import_paths: import_paths.clone() }, url.place.clone())
        }
        SchemaSource::ProtosetUrl(url) => {
            let bytes = get(&url.value).await.map_err(|error| SpecError::elsewhere(url.place.clone(), error))?;
            (Schema::Protoset(bytes), url.place.clone())
        }
        SchemaSource::Reflection => {
            let wrong = |error| SpecError::elsewhere(call.call.place.clone(), error);
            let request = test.requests.get(call.request).ok_or_else(|| wrong("no such request".to_owned()))?;
            let service = call.call.value.rsplit_once(['/', '.']).map_or("", |(service, _)| service);
            let (host, port) = request.connects_to();
            let server = Server {
                connect: (host.to_owned(), port),
                authority: request.authority(),
                host: request.host.clone(),
                tls: request.tls.clone(),
                metadata: request.headers.iter().filter(|(_, value)| !value.contains("{{")).cloned().collect(),
                timeout: REFLECTION_TIMEOUT,
            };
            return grpc::reflected_pool(&server, service.trim_start_matches('/')).await.map_err(wrong);
        }
    };
    let found = grpc::local_pool(&schema).map_err(|error| SpecError::new(place.clone(), error))?;
    found.ok_or_else(|| SpecError::new(place, "the schema is empty"))
}

fn find(pool: &DescriptorPool, call: &PendingCall) -> Result<prost_reflect::MethodDescriptor, SpecError> {
    grpc::method(pool, &call.call.value).map_err(|error| SpecError::new(call.call.place.clone(), error))
}

fn finish_call(test: &mut LoadTest, call: &PendingCall, pool: &DescriptorPool, data: &Value) -> Result<(), SpecError> {
    let method = find(pool, call)?;
    let wrong = |error| SpecError::new(call.place.clone(), error);
    let messages = grpc::messages(&method, data, true).map_err(wrong)?;
    let Some(request) = test.requests.get_mut(call.request) else { return Ok(()) };
    request.target = grpc::path(&method);
    if let Some(own) = &mut request.grpc {
        own.kind = loadgrid_worker::client::grpc::Kind::new(method.is_client_streaming(), method.is_server_streaming());
        if own.message_interval_ns > 0 && !own.kind.sends_all() {
            let kind = own.kind.name();
            return Err(SpecError::new(
                call.call.place.clone(),
                format!("messageInterval is for streams of the client, and this call is {kind}: leave it out"),
            ));
        }
        request.templated |= messages.iter().any(is_templated);
        own.messages = messages;
    }
    Ok(())
}

fn is_templated(message: &loadgrid_worker::client::grpc::Message) -> bool {
    use loadgrid_worker::client::grpc::Piece;
    message.pieces.iter().any(|piece| !matches!(piece, Piece::Literal(_)))
}

/// Every template compiles, and uses only what is there when its request is sent.
pub(super) fn check_templates(test: &LoadTest) -> Result<(), SpecError> {
    let names = Names { feeds: &test.feeds, captures: &test.captures };
    let before = super::check::captured_before(&test.requests);
    for (number, request) in test.requests.iter().enumerate() {
        let place = test.places.get(number).cloned().unwrap_or(Place::Test);
        let wrong = |error: String| SpecError::new(place.clone(), error);
        let templates = prepared::templates(request, names).map_err(wrong)?;
        for capture in templates.iter().flat_map(|template| template.captures()) {
            if !before.get(number).is_some_and(|known| known.contains(&capture)) {
                let name = test.captures.get(capture).map_or("", String::as_str);
                return Err(wrong(format!("'{{{{{name}}}}}' is not captured by a step before this one")));
            }
        }
    }
    Ok(())
}
