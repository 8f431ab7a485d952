//! A store in a bucket that speaks S3. It does not know what is in its objects.

mod explain;

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};
use tokio::task::JoinSet;
use url::Url;

use self::explain::{Explain, is_absent};
use super::environment::Environment;
use super::error::{Cause, Doing, Error};
use super::format::Beginning;
use super::place::{Listed, Opened};

/// Beginnings that are asked for at once.
const AT_ONCE: usize = 32;

/// Most first lines fit.
const FIRST_READ: u64 = 8 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a whole exchange: a long run over a thin line.
const TIMEOUT: Duration = Duration::from_secs(120);
const RETRIES: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is decided here and not by the environment.
const OWN: [&str; 3] = ["AWS_BUCKET", "AWS_BUCKET_NAME", "AWS_ALLOW_HTTP"];

#[derive(Debug)]
pub(super) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
    explain: Explain,
}

impl Bucket {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// What of the environment does not fit.
    pub(super) fn new(bucket: &str, prefix: &str, environment: &Environment) -> Result<Self, Error> {
        let usage = |why: &str| Error::new(Cause::Usage, why);
        let endpoint = endpoint(environment)?;
        match (environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")) {
            (Some(_), None) => return Err(usage("AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not: set both")),
            (None, Some(_)) => return Err(usage("AWS_SECRET_ACCESS_KEY is set, AWS_ACCESS_KEY_ID is not: set both")),
            _ => {}
        }
        let options = ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(TIMEOUT);
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new().with_client_options(options).with_retry(retry);
        for (name, value) in environment.aws().filter(|(name, _)| !OWN.contains(name)) {
            // Many AWS_* are of no concern to S3.
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        let clear = endpoint.as_ref().is_some_and(|url| url.scheme() == "http");
        let built = builder.with_bucket_name(bucket).with_allow_http(clear).build();
        let objects = built.map_err(|_| {
            usage("S3 can't be used with the AWS_* variables of the environment: check those beside the credentials")
        })?;
        let explain = Explain::new(bucket, prefix, endpoint.as_ref());
        Ok(Bucket { objects: Arc::new(objects), prefix: prefix.to_owned(), explain })
    }

    #[cfg(test)]
    pub(super) fn in_memory() -> Self {
        let objects = Arc::new(object_store::memory::InMemory::new());
        Bucket { objects, prefix: "p/q".to_owned(), explain: Explain::new("b", "p/q", None) }
    }

    fn path(&self, path: &str) -> Path {
        Path::from(if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) })
    }

    /// One PUT: an object appears whole or not at all.
    pub(super) async fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let put = self.objects.put(&self.path(path), PutPayload::from(bytes)).await;
        put.map(|_| ()).map_err(|error| self.explain.error(Doing::Write, &error))
    }

    pub(super) async fn listing(&self, folder: &str) -> Result<Vec<Listed>, Error> {
        let folder = self.path(folder);
        let listed = self.objects.list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|error| self.explain.error(Doing::Read, &error))?;
        let name = |path: &Path| path.filename().unwrap_or_default().to_owned();
        let folders = listed.common_prefixes.iter().map(|path| {
            let name = format!("{}/", name(path));
            Listed { name, size: 0, tag: String::new() }
        });
        // Consoles make an empty object for a folder, which has the folder's own path here.
        let files = listed.objects.iter().filter(|object| object.location != folder).map(|object| Listed {
            name: name(&object.location),
            size: object.size,
            tag: tag(object),
        });
        Ok(files.chain(folders).collect())
    }

    /// The beginnings of objects of these sizes, in their order.
    pub(super) async fn beginnings(&self, paths: Vec<(String, u64)>) -> Result<Vec<Opened>, Error> {
        let mut opened = vec![Opened::Gone; paths.len()];
        let mut waiting = paths.into_iter().enumerate();
        let mut asked = JoinSet::new();
        loop {
            while asked.len() < AT_ONCE
                && let Some((number, (path, size))) = waiting.next()
            {
                let (objects, path) = (self.objects.clone(), self.path(&path));
                asked.spawn(async move { (number, beginning(objects.as_ref(), &path, size).await) });
            }
            match asked.join_next().await {
                None => return Ok(opened),
                Some(Ok((number, Ok(begun)))) => {
                    if let Some(place) = opened.get_mut(number) {
                        *place = begun;
                    }
                }
                Some(Ok((_, Err(error)))) if is_absent(&error) => {}
                Some(Ok((_, Err(error)))) => return Err(self.explain.error(Doing::Read, &error)),
                Some(Err(_)) => return Err(Error::new(Cause::Failed, "the program is ending")),
            }
        }
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let read = async { self.objects.get(&self.path(path)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.explain.error(Doing::Read, &error)),
        }
    }

    pub(super) async fn remove(&self, path: &str) -> Result<bool, Error> {
        let path = self.path(path);
        // To S3, removing nothing is a success.
        match self.objects.head(&path).await {
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(false),
            Err(error) => return Err(self.explain.error(Doing::Remove, &error)),
        }
        let removed = self.objects.delete(&path).await;
        removed.map(|()| true).map_err(|error| self.explain.error(Doing::Remove, &error))
    }
}

/// The beginning of an object that was listed with this size.
async fn beginning(objects: &dyn ObjectStore, path: &Path, size: u64) -> object_store::Result<Opened> {
    // There is no range in an empty object.
    let mut wanted = FIRST_READ.min(size);
    loop {
        let range = (wanted > 0).then(|| (0..wanted).into());
        let got = objects.get_opts(path, GetOptions { range, ..GetOptions::default() }).await?;
        let (size, tag) = (got.meta.size, tag(&got.meta));
        let bytes = got.bytes().await?;
        let is_all = wanted >= size || bytes.len() as u64 == size;
        if let Some(beginning) = Beginning::of(&bytes).or_else(|| is_all.then(|| Beginning::of_all(&bytes))) {
            return Ok(Opened::Begun { size, tag, beginning });
        }
        wanted = wanted.saturating_mul(8).max(1).min(size);
    }
}

/// Another one when the object was written again.
fn tag(object: &ObjectMeta) -> String {
    let tag = object.e_tag.clone().unwrap_or_else(|| object.last_modified.timestamp_millis().to_string());
    tag.replace(char::is_whitespace, "")
}

/// Where S3 is, if it is not Amazon's: the variable for S3 alone goes before the one for all services.
fn endpoint(environment: &Environment) -> Result<Option<Url>, Error> {
    let named = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let Some((name, text)) = named.iter().find_map(|name| Some((name, environment.get(name)?))) else {
        return Ok(None);
    };
    let wrong = |why: &str| Err(Error::new(Cause::Usage, format!("{name} {why}: write http://HOST or https://HOST")));
    match Url::parse(text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => wrong("holds credentials"),
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Some(url)),
        _ => wrong("is no URL"),
    }
}

#[cfg(test)]
mod tests;
