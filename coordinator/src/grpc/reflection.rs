//! A service's schema as its server tells it (`grpc.reflection.v1`, and `v1alpha` of older servers). It does not know
//! what the schema is for.

use std::collections::{BTreeMap, BTreeSet};

use hyper::http::uri::PathAndQuery;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Question;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answer;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use super::schema::{Wrong, pool};
use super::server::Server;
use crate::near;

/// The two versions differ in the package's name alone: the messages of one serve both.
const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The most that a schema may be, bytes: a server's answers may be anything.
const BYTES_MAX: usize = 64 << 20;

const MEND: &str = "give the schema with proto or protoset";

/// The schema of `service` (`pkg.Service`) and of all that it builds on.
///
/// # Errors
/// A sentence: the server is not there, has reflection switched off, or knows no such service, and what to do.
pub async fn reflected_pool(server: &Server, service: &str) -> Result<DescriptorPool, String> {
    let (files, services) = server.within(ask(server, service)).await?;
    let name = server.name();
    let pool = pool(files).map_err(|wrong| match wrong {
        Wrong::Absent(file) => format!("{name}: it does not tell the file {file} that its schema imports: {MEND}"),
        Wrong::Refused(why) => format!("{name}: its schema is of no use: {why}. Or {MEND}"),
    })?;
    // A message's name, too, is one that has a file.
    if pool.get_service_by_name(service).is_none() { Err(no_service(&name, service, services)) } else { Ok(pool) }
}

/// The files of the service, and all services.
async fn ask(server: &Server, service: &str) -> Result<(Vec<FileDescriptorProto>, Vec<String>), String> {
    let (mut reflection, services) = Reflection::open(server).await?;
    match reflection.files(service).await {
        Ok(files) => Ok((files.into_values().collect(), services)),
        Err(_) if !services.iter().any(|known| known == service) => Err(no_service(&server.name(), service, services)),
        Err(status) => Err(server.refusal("reflection", &status)),
    }
}

fn no_service(name: &str, service: &str, services: Vec<String>) -> String {
    let known = services.into_iter().filter(|known| !known.starts_with("grpc.reflection."));
    format!("{name}: it has no service '{service}': it has {}", near::listed(service, known))
}

type Pair = (mpsc::Sender<ServerReflectionRequest>, Streaming<ServerReflectionResponse>);

/// A conversation, started anew where an error ended it: some servers end the stream on an unknown name, others do not.
struct Reflection<'a> {
    server: &'a Server,
    channel: Channel,
    path: &'static str,
    stream: Option<Pair>,
}

impl<'a> Reflection<'a> {
    /// In the newest version that the server has, and the services that it names.
    async fn open(server: &'a Server) -> Result<(Self, Vec<String>), String> {
        let channel = server.channel().await?;
        let mut last = Status::unimplemented("");
        for path in PATHS {
            let mut reflection = Reflection { server, channel: channel.clone(), path, stream: None };
            match reflection.services().await {
                Ok(services) => return Ok((reflection, services)),
                Err(status) => last = status,
            }
            // Servers do not agree on how to say that they lack a service.
            if !matches!(last.code(), Code::Unimplemented | Code::NotFound | Code::Unknown) {
                break;
            }
        }
        match last.code() {
            Code::Unimplemented => {
                Err(format!("{}: its reflection is switched off: {MEND}, or switch it on", server.name()))
            }
            _ => Err(format!("{}; or {MEND}", server.refusal("reflection", &last))),
        }
    }

    async fn start(&self, first: ServerReflectionRequest) -> Result<Pair, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(BYTES_MAX);
        grpc.ready().await.map_err(|error| Status::from_error(Box::new(error)))?;
        let (sender, receiver) = mpsc::channel(1);
        // In the stream before it opens: many servers send no headers until they have something to answer.
        sender.try_send(first).map_err(|_| ended())?;
        let mut request = Request::new(ReceiverStream::new(receiver));
        *request.metadata_mut() = self.server.metadata().map_err(Status::invalid_argument)?;
        let codec = ProstCodec::<ServerReflectionRequest, ServerReflectionResponse>::default();
        let answers = grpc.streaming(request, PathAndQuery::from_static(self.path), codec).await?;
        Ok((sender, answers.into_inner()))
    }

    async fn ask(&mut self, question: Question) -> Result<Answer, Status> {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
        let (sender, mut answers) = match self.stream.take() {
            None => self.start(request).await?,
            Some((sender, answers)) => {
                sender.send(request).await.map_err(|_| ended())?;
                (sender, answers)
            }
        };
        let answer = answers.message().await?.ok_or_else(ended)?;
        self.stream = Some((sender, answers));
        match answer.message_response {
            Some(Answer::ErrorResponse(error)) => Err(Status::new(Code::from(error.error_code), error.error_message)),
            Some(answer) => Ok(answer),
            None => Err(Status::internal("an empty answer")),
        }
    }

    async fn services(&mut self) -> Result<Vec<String>, Status> {
        match self.ask(Question::ListServices(String::new())).await? {
            Answer::ListServicesResponse(list) => Ok(list.service.into_iter().map(|service| service.name).collect()),
            _ => Err(Status::internal("not what was asked")),
        }
    }

    /// The file of a service and those it imports, by name. One that the server does not tell is left out.
    async fn files(&mut self, service: &str) -> Result<BTreeMap<String, FileDescriptorProto>, Status> {
        let mut files = BTreeMap::new();
        let mut bytes = self.take(Question::FileContainingSymbol(service.to_owned()), &mut files).await?;
        let mut asked = BTreeSet::new();
        while let Some(name) = lacking(&files, &asked) {
            // Many servers leave out google/protobuf/*; another file's lack shows when the schema is put together.
            bytes += self.take(Question::FileByFilename(name.clone()), &mut files).await.unwrap_or(0);
            asked.insert(name);
            if bytes > BYTES_MAX {
                return Err(Status::resource_exhausted(format!("a schema of more than {} MiB", BYTES_MAX >> 20)));
            }
        }
        Ok(files)
    }

    /// Adds the files of an answer: one, or all that it imports with it. Returns how many bytes they were.
    async fn take(
        &mut self,
        question: Question,
        files: &mut BTreeMap<String, FileDescriptorProto>,
    ) -> Result<usize, Status> {
        let Answer::FileDescriptorResponse(answer) = self.ask(question).await? else {
            return Err(Status::internal("not what was asked"));
        };
        let mut bytes = 0;
        for encoded in answer.file_descriptor_proto {
            bytes += encoded.len();
            let file = FileDescriptorProto::decode(encoded.as_slice())
                .map_err(|error| Status::internal(format!("no descriptor: {error}")))?;
            files.insert(file.name().to_owned(), file);
        }
        Ok(bytes)
    }
}

/// An import that is neither there nor was asked for.
fn lacking(files: &BTreeMap<String, FileDescriptorProto>, asked: &BTreeSet<String>) -> Option<String> {
    let mut imports = files.values().flat_map(|file| &file.dependency);
    imports.find(|name| !files.contains_key(*name) && !asked.contains(*name)).cloned()
}

fn ended() -> Status {
    Status::unavailable("the stream ended")
}
