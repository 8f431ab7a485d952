//! A service's schema from files: `.proto` source or a compiled set of descriptors. It does not know where a text was
//! fetched from, and asks no server.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

/// Where the schema of a service comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The server itself: [`super::reflected_pool`].
    Reflection,
    Proto {
        /// A path, as it is or below one of `import_paths`; with `text`, where that came from.
        name: String,
        /// The source, already fetched from a URL.
        text: Option<String>,
        import_paths: Vec<PathBuf>,
    },
    /// An encoded `FileDescriptorSet`, as `protoc --include_imports --descriptor_set_out` writes it.
    Protoset(Vec<u8>),
}

/// The schema, unless only the server has it. Reads files, but uses no network.
///
/// # Errors
/// A sentence with `file:line:column` where the source has one: what is not there, is wrong, or is not supported.
pub fn local_pool(schema: &Schema) -> Result<Option<DescriptorPool>, String> {
    match schema {
        Schema::Reflection => Ok(None),
        Schema::Proto { name, text: Some(text), import_paths } => from_text(name, text, import_paths).map(Some),
        Schema::Proto { name, text: None, import_paths } => from_file(name, import_paths).map(Some),
        Schema::Protoset(bytes) => from_set(bytes).map(Some),
    }
}

/// A source held in memory.
struct Memory {
    name: String,
    text: String,
}

impl FileResolver for Memory {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == self.name { File::from_source(name, &self.text) } else { Err(protox::Error::file_not_found(name)) }
    }
}

/// Files with the public imports of their public imports as their own: the compiler follows no such chains.
struct PassedOn(ChainFileResolver);

impl PassedOn {
    /// What a file passes on by way of others, as further lines of its source. It is the compiler that says what can't be
    /// read.
    fn lines(&self, file: &File) -> String {
        let own = file.file_descriptor_proto();
        let mut seen: HashSet<String> = own.dependency.iter().cloned().chain([own.name().to_owned()]).collect();
        let mut open = passed_on(own);
        let mut lines = String::new();
        while let Some(name) = open.pop() {
            let Ok(file) = self.0.open_file(&name) else { continue };
            for import in passed_on(file.file_descriptor_proto()) {
                if !import.contains(['"', '\\', '\n']) && seen.insert(import.clone()) {
                    lines += &format!("\nimport public \"{import}\";");
                    open.push(import);
                }
            }
        }
        lines
    }
}

impl FileResolver for PassedOn {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        self.0.resolve_path(path)
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let file = self.0.open_file(name)?;
        let lines = self.lines(&file);
        match file.source() {
            Some(source) if !lines.is_empty() => File::from_source(name, &format!("{source}{lines}")),
            _ => Ok(file),
        }
    }
}

fn from_text(name: &str, text: &str, import_paths: &[PathBuf]) -> Result<DescriptorPool, String> {
    // A file's name in a schema is a relative path; a URL's last part serves.
    let bare = name.split(['?', '#']).next().unwrap_or(name);
    let file = bare.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or("schema.proto");
    let mut chain = ChainFileResolver::new();
    chain.add(Memory { name: file.to_owned(), text: text.to_owned() });
    for folder in folders(import_paths)? {
        chain.add(IncludeFileResolver::new(folder));
    }
    compile(chain, Path::new(file))
}

fn from_file(name: &str, import_paths: &[PathBuf]) -> Result<DescriptorPool, String> {
    let mut places = std::iter::once(PathBuf::from(name)).chain(import_paths.iter().map(|folder| folder.join(name)));
    let path = places.find(|path| path.is_file()).ok_or_else(|| {
        format!("there is no file {name}: mend the path, or add the folder that it lies in to importPaths")
    })?;
    let path = path.canonicalize().map_err(|error| format!("{name} can't be read ({error})"))?;
    let mut folders = folders(import_paths)?;
    // Its own folder is an import path too, the last one: the files beside it are found without a word.
    folders.extend(path.parent().map(Path::to_owned));
    let mut chain = ChainFileResolver::new();
    for folder in folders {
        chain.add(IncludeFileResolver::new(folder));
    }
    compile(chain, &path)
}

/// Import paths are compared with the file's by their letters, so both are made canonical.
fn folders(import_paths: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let folder = |path: &PathBuf| match path.canonicalize() {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(_) => Err(format!("importPaths: {} is no folder", path.display())),
        Err(error) => Err(format!("importPaths: {} can't be read ({error})", path.display())),
    };
    import_paths.iter().map(folder).collect()
}

fn compile(mut chain: ChainFileResolver, path: &Path) -> Result<DescriptorPool, String> {
    chain.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(PassedOn(chain));
    match compiler.open_file(path) {
        Ok(_) => Ok(compiler.descriptor_pool()),
        Err(error) => Err(sentence(&error)),
    }
}

/// Of all that is wrong the first, with its place and a mend.
fn sentence(error: &protox::Error) -> String {
    // The position is in this form only.
    let all = format!("{error:?}");
    let first = all.lines().find(|line| !line.trim().is_empty()).unwrap_or("the schema can't be read").trim();
    match first.split_once(": expected ") {
        Some((place, rest)) if rest.ends_with("found 'edition'") => {
            return format!("{place}: {}", edition_sentence("this file is written in a protobuf edition"));
        }
        _ => {}
    }
    if first.contains("import '") && first.ends_with("not found") {
        return format!("{first}: add the folder that it is relative to to importPaths, or give a protoset");
    }
    first.to_owned()
}

fn edition_sentence(what: &str) -> String {
    format!("{what}, which is not supported: write it in proto2 or proto3 (syntax = \"proto3\";)")
}

fn from_set(bytes: &[u8]) -> Result<DescriptorPool, String> {
    const MEND: &str = "make one with protoc --include_imports --descriptor_set_out=FILE";
    let set = FileDescriptorSet::decode(bytes)
        .map_err(|error| format!("the protoset is no set of descriptors ({error}): {MEND}"))?;
    if set.file.is_empty() {
        return Err(format!("the protoset holds no files: {MEND}"));
    }
    pool(set.file).map_err(|wrong| match wrong {
        Wrong::Absent(name) => format!("the protoset lacks {name}, which another of its files imports: {MEND}"),
        Wrong::Refused(why) => format!("the protoset is of no use: {why}"),
    })
}

/// Why files make no schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// An import that is not among them.
    Absent(String),
    Refused(String),
}

/// The schema that descriptors from outside make, in any order. Those of `google/protobuf` are added where they lack.
pub(super) fn pool(files: Vec<FileDescriptorProto>) -> Result<DescriptorPool, Wrong> {
    let mut set = FileDescriptorSet::default();
    let mut known = HashSet::new();
    let mut wanted = Vec::new();
    for file in files {
        usable(&file).map_err(Wrong::Refused)?;
        if known.insert(file.name().to_owned()) {
            wanted.extend(file.dependency.iter().cloned());
            set.file.push(file);
        }
    }
    let google = DescriptorPool::global();
    while let Some(name) = wanted.pop() {
        if known.insert(name.clone()) {
            let file = google.get_file_by_name(&name).ok_or(Wrong::Absent(name))?;
            wanted.extend(file.file_descriptor_proto().dependency.iter().cloned());
            set.file.push(file.file_descriptor_proto().clone());
        }
    }
    flatten(&mut set);
    DescriptorPool::from_file_descriptor_set(set).map_err(|error| Wrong::Refused(error.to_string()))
}

/// Gives files the public imports of their imports as their own: the descriptors' reader does not follow chains of them to
/// their end, and circles without one.
fn flatten(set: &mut FileDescriptorSet) {
    let public: HashMap<String, Vec<String>> =
        set.file.iter().map(|file| (file.name().to_owned(), passed_on(file))).collect();
    for file in &mut set.file {
        let mut seen: HashSet<String> = HashSet::from([file.name().to_owned()]);
        let mut open = std::mem::take(&mut file.dependency);
        open.reverse();
        while let Some(name) = open.pop() {
            if seen.insert(name.clone()) {
                open.extend(public.get(&name).into_iter().flatten().cloned());
                file.dependency.push(name);
            }
        }
        file.public_dependency.clear();
        file.weak_dependency.clear();
    }
}

/// The imports that whoever imports the file imports too.
fn passed_on(file: &FileDescriptorProto) -> Vec<String> {
    let numbers = file.public_dependency.iter().filter_map(|number| usize::try_from(*number).ok());
    numbers.filter_map(|number| file.dependency.get(number).cloned()).collect()
}

/// What the descriptors' reader takes for granted is verified here: it would end the process, not give an error.
fn usable(file: &FileDescriptorProto) -> Result<(), String> {
    if !matches!(file.syntax(), "" | "proto2" | "proto3") {
        return Err(edition_sentence(&format!("{} is written in protobuf {}", file.name(), file.syntax())));
    }
    let mut messages: Vec<&DescriptorProto> = file.message_type.iter().collect();
    while let Some(message) = messages.pop() {
        let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
        if is_entry && !is_map_entry(message) {
            return Err(format!("{} calls the message {} a map's entry, which it is not", file.name(), message.name()));
        }
        messages.extend(&message.nested_type);
    }
    Ok(())
}

/// A single key that can be one, and a single value.
fn is_map_entry(message: &DescriptorProto) -> bool {
    let key = message.field.iter().find(|field| field.number() == 1);
    let value = message.field.iter().find(|field| field.number() == 2);
    let no_key = [Type::Double, Type::Float, Type::Bytes, Type::Enum, Type::Message, Type::Group];
    key.is_some_and(|key| key.r#type.is_some() && !no_key.contains(&key.r#type()) && key.label() != Label::Repeated)
        && value.is_some_and(|value| value.label() != Label::Repeated)
}

#[cfg(test)]
mod tests;
