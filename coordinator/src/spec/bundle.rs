//! A test as it travels to a served coordinator: what was written, with the files and secrets that it names, so that the
//! coordinator needs nothing of the machine it comes from and lends nothing of its own.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::draft::{BodySource, Draft, DraftRequest, DraftTls, Sourced};
use super::secret::{self, References};
use super::{LoadTest, Place, SpecError, check, checked, written};
use crate::grpc::{self, Schema};

/// All files of a test together, bytes. A submission is one message.
const FILES_BYTES_MAX: usize = 40 * 1024 * 1024;

/// A test and whatever it takes from the machine on which it was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// The file as it was named, for messages.
    file: Option<String>,
    draft: Draft,
    /// What references stand for, by what is between their braces. Not for logs.
    references: BTreeMap<String, String>,
    /// Content by name, base64; the paths in `draft` are these names. It may be large, and copies share it.
    files: Arc<BTreeMap<String, String>>,
}

/// Packs a test that was read from a file's text (if there is one) and flags.
///
/// # Errors
/// The first mistake, as [`super::load`] says it, or what can't be read.
pub fn pack(file: Option<(&str, &str)>, flags: Draft) -> Result<Bundle, SpecError> {
    let folder = check::folder(file.map(|(name, _)| name)).to_owned();
    packed(written(file, flags)?, file.map(|(name, _)| name), &folder, &References::Here)
}

/// Packs a test that is a resource of a cluster. Whoever wrote it may be another than the one who packs it: it takes what
/// is below `mounted`, and nothing else of this machine.
///
/// # Errors
/// The first mistake, as [`of_resource`] says it, or what can't be read.
pub fn pack_resource(name: &str, text: &str, mounted: &Path) -> Result<Bundle, SpecError> {
    let mut draft = written(Some((name, text)), Draft::default())?;
    stays_below(&mut draft, name, mounted)?;
    packed(draft, Some(name), mounted, &References::Mounted(mounted.to_owned()))
}

fn packed(mut draft: Draft, file: Option<&str>, folder: &Path, lookup: &References) -> Result<Bundle, SpecError> {
    let name = file.map(str::to_owned);
    let named = |error: SpecError| SpecError { file: name.clone(), ..error };
    let mut packer = Packer { folder, files: BTreeMap::new(), bytes: 0 };
    packer.draft(&mut draft).map_err(named)?;
    let files = packer.files;
    let whole = serde_json::to_value(&draft).map_err(|error| named(SpecError::new(Place::Test, error.to_string())))?;
    let mut found = BTreeMap::new();
    references(&whole, lookup, &mut found).map_err(|why| named(SpecError::new(Place::Test, why)))?;
    Ok(Bundle { file: name.clone(), draft, references: found, files: Arc::new(files) })
}

/// A test that is a resource of a cluster: its references and files are looked up below `mounted` and nowhere else.
///
/// # Errors
/// The first mistake.
pub fn of_resource(name: &str, text: &str, mounted: &Path) -> Result<LoadTest, SpecError> {
    let mut draft = written(Some((name, text)), Draft::default())?;
    stays_below(&mut draft, name, mounted)?;
    checked(draft, Some(name), mounted, &References::Mounted(mounted.to_owned()))
}

/// Every file that it names is below a folder.
fn stays_below(draft: &mut Draft, name: &str, mounted: &Path) -> Result<(), SpecError> {
    for path in paths(draft) {
        if secret::below(mounted, path.value).is_none() && !is_url(path.value) {
            let message = format!(
                "'{}' is no file of a mounted Secret or ConfigMap: write NAME/KEY (the chart's secrets)",
                path.value
            );
            return Err(SpecError { file: Some(name.to_owned()), ..SpecError::new(path.place, message) });
        }
    }
    Ok(())
}

impl Bundle {
    /// What its files and secrets are, bytes.
    pub fn size(&self) -> usize {
        let text =
            |map: &BTreeMap<String, String>| map.iter().map(|(name, text)| name.len() + text.len()).sum::<usize>();
        // Base64 is larger by a third.
        text(&self.files) / 4 * 3 + text(&self.references)
    }

    /// The same test, whose objects are in this namespace where it says none: that of the cluster that they are looked
    /// for in, which only its coordinator knows.
    pub fn at_home_in(mut self, namespace: &str) -> Self {
        let home = || Sourced { value: namespace.to_owned(), place: Place::Test };
        self.draft.namespace.get_or_insert_with(home);
        self
    }

    /// The test, checked as where it was written. Files are laid down in `folder` while they are read.
    ///
    /// # Errors
    /// The first mistake, or that the folder can't be written.
    pub fn unpack(mut self, folder: &Path) -> Result<LoadTest, SpecError> {
        let failed = |error: std::io::Error| {
            SpecError::elsewhere(Place::Test, format!("{} can't be written: {error}", folder.display()))
        };
        let wrong = |message: &str| SpecError::new(Place::Test, message);
        // What came over the wire may name anything.
        for path in paths(&mut self.draft) {
            if !self.files.contains_key(&*path.value) && !is_url(path.value) {
                return Err(SpecError::new(path.place, format!("'{}' did not come with the test", path.value)));
            }
        }
        // Everything is read by the check: nothing that may be secret outlives it.
        let _folder = Folder(folder);
        if !self.files.is_empty() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        for (name, content) in &*self.files {
            let place = secret::below(folder, name).filter(|_| !name.contains('/'));
            let place = place.ok_or_else(|| wrong("a file that came with the test has no plain name"))?;
            let content = STANDARD.decode(content).map_err(|_| wrong("a file that came with the test is torn"))?;
            let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(place);
            file.and_then(|mut file| std::io::Write::write_all(&mut file, &content)).map_err(failed)?;
        }
        let references = References::Given(std::mem::take(&mut self.references));
        checked(self.draft, self.file.as_deref(), folder, &references)
    }
}

/// A folder that is removed, if it is there, however its user ends.
struct Folder<'a>(&'a Path);

impl Drop for Folder<'_> {
    fn drop(&mut self) {
        // A leftover would be a nuisance, no more.
        let _ = fs::remove_dir_all(self.0);
    }
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// The schema of a call, where it was a .proto.
struct Taken {
    proto: Sourced,
    set: Vec<u8>,
}

/// Reads what a draft's paths name, and gives them names of their own.
struct Packer<'a> {
    folder: &'a Path,
    files: BTreeMap<String, String>,
    bytes: usize,
}

impl Packer<'_> {
    fn draft(&mut self, draft: &mut Draft) -> Result<(), SpecError> {
        let mut schemas = VecDeque::new();
        draft.requests.iter_mut().try_for_each(|request| self.take_protos(request, &mut schemas))?;
        for path in paths(draft) {
            if !is_url(path.value) {
                let content = fs::read(self.folder.join(&*path.value)).map_err(|error| {
                    SpecError::new(path.place.clone(), format!("the file {} can't be read ({error})", path.value))
                })?;
                *path.value = self.add(path.value, &content, &path.place)?;
            }
        }
        draft.requests.iter_mut().try_for_each(|request| self.give_protosets(request, &mut schemas))
    }

    /// A .proto has others that it imports: their descriptors travel in its stead. One for each call, in their order.
    fn take_protos(&self, request: &mut DraftRequest, schemas: &mut VecDeque<Option<Taken>>) -> Result<(), SpecError> {
        for step in request.steps.iter_mut().flat_map(|steps| steps.value.iter_mut()) {
            self.take_protos(step, schemas)?;
        }
        let Some(call) = &mut request.grpc else { return Ok(()) };
        let Some(proto) = call.proto.take_if(|proto| !is_url(&proto.value)) else {
            schemas.push_back(None);
            return Ok(());
        };
        let import_paths = call.import_paths.drain(..).map(|path| self.folder.join(&path.value)).collect();
        let name = self.folder.join(&proto.value).display().to_string();
        let pool = grpc::local_pool(&Schema::Proto { name, text: None, import_paths })
            .map_err(|error| SpecError::new(proto.place.clone(), error))?;
        let files = pool.iter().flat_map(|pool| pool.file_descriptor_protos().cloned()).collect();
        schemas.push_back(Some(Taken { proto, set: prost_types::FileDescriptorSet { file: files }.encode_to_vec() }));
        Ok(())
    }

    fn give_protosets(
        &mut self,
        request: &mut DraftRequest,
        schemas: &mut VecDeque<Option<Taken>>,
    ) -> Result<(), SpecError> {
        for step in request.steps.iter_mut().flat_map(|steps| steps.value.iter_mut()) {
            self.give_protosets(step, schemas)?;
        }
        let Some(call) = &mut request.grpc else { return Ok(()) };
        if let Some(Taken { proto, set }) = schemas.pop_front().flatten() {
            let value = self.add(&proto.value, &set, &proto.place)?;
            call.protoset = Some(Sourced { value, place: proto.place });
        }
        Ok(())
    }

    fn add(&mut self, path: &str, content: &[u8], place: &Place) -> Result<String, SpecError> {
        self.bytes += content.len();
        if self.bytes > FILES_BYTES_MAX {
            let message = format!("the test's files are over the {FILES_BYTES_MAX} bytes that travel to a coordinator");
            return Err(SpecError::new(place.clone(), message));
        }
        let plain = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name = format!("{}-{plain}", self.files.len() + 1);
        self.files.insert(name.clone(), STANDARD.encode(content));
        Ok(name)
    }
}

/// A path in a draft.
struct Named<'a> {
    value: &'a mut String,
    place: Place,
}

impl<'a> Named<'a> {
    fn of(sourced: &'a mut Sourced) -> Self {
        Named { value: &mut sourced.value, place: sourced.place.clone() }
    }
}

/// All paths of a draft.
fn paths(draft: &mut Draft) -> Vec<Named<'_>> {
    let mut all = Vec::new();
    for request in &mut draft.requests {
        of_request(request, &mut all);
    }
    for ready in &mut draft.ready {
        ready.value.tls.iter_mut().for_each(|tls| of_tls(&mut tls.value, &mut all));
    }
    for (_, feed) in &mut draft.feeds {
        all.extend([&mut feed.value.csv, &mut feed.value.jsonl].into_iter().flatten().map(Named::of));
    }
    all.extend(draft.notices.iter_mut().filter_map(|notice| notice.value.template.as_mut()).map(Named::of));
    all
}

fn of_request<'a>(request: &'a mut DraftRequest, all: &mut Vec<Named<'a>>) {
    if let Some(body) = &mut request.body
        && let BodySource::File(value) = &mut body.source
    {
        all.push(Named { value, place: body.place.clone() });
    }
    request.tls.iter_mut().for_each(|tls| of_tls(&mut tls.value, all));
    if let Some(call) = &mut request.grpc {
        all.extend([&mut call.proto, &mut call.protoset, &mut call.data_file].into_iter().flatten().map(Named::of));
        all.extend(call.import_paths.iter_mut().map(Named::of));
    }
    for step in request.steps.iter_mut().flat_map(|steps| steps.value.iter_mut()) {
        of_request(step, all);
    }
}

fn of_tls<'a>(tls: &'a mut DraftTls, all: &mut Vec<Named<'a>>) {
    all.extend([&mut tls.ca, &mut tls.cert, &mut tls.key].into_iter().flatten().map(Named::of));
}

/// Adds what every reference in a value stands for on this machine. What is none is found by the check, where it stands.
///
/// # Errors
/// A resource's reference that leaves what is mounted: what it would stand for here is not its author's.
fn references(value: &Value, lookup: &References, found: &mut BTreeMap<String, String>) -> Result<(), String> {
    match value {
        Value::String(text) => {
            for reference in secret::references(text).unwrap_or_default() {
                match lookup.value(&reference) {
                    Ok(value) => drop(found.insert(reference, value)),
                    Err(why) if matches!(lookup, References::Mounted(_)) => return Err(why),
                    Err(_) => {}
                }
            }
        }
        Value::Array(list) => list.iter().try_for_each(|item| references(item, lookup, found))?,
        Value::Object(map) => map.values().try_for_each(|item| references(item, lookup, found))?,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
