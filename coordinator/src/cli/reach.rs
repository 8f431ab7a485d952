//! A store to read, wherever it is: a folder, a bucket, or that of a served coordinator.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Handle;

use super::connection::{Client, Where};
use super::store::StoreFlags;
use super::{Failure, runtime};
use crate::store::{Answer, Answering, Ask, Kind, Serves, Store, Stored};

/// Which store.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ReachFlags {
    #[command(flatten)]
    own: StoreFlags,
    #[command(flatten)]
    at: Where,
    /// The folder with the operator's certificate, for --grid.
    #[arg(long, value_name = "DIR", default_value = "certs", env = "LOADGRID_TLS_DIR", help_heading = "Store")]
    tls_dir: PathBuf,
    /// The grid speaks plaintext.
    #[arg(long, help_heading = "Store")]
    insecure: bool,
}

impl ReachFlags {
    pub(super) fn place(&self) -> &Where {
        &self.at
    }

    /// A client of the coordinator that is named.
    pub(super) async fn client(&self) -> Result<Client, Failure> {
        Client::new(&self.at, &self.tls_dir, self.insecure).await
    }

    pub(super) fn open(&self) -> Result<Store, Failure> {
        match (self.own.is_flag(), self.at.flag()) {
            (true, Some(flag)) => {
                return Err(Failure::usage(format!("{flag} has a store of its own: leave --store out, or {flag}")));
            }
            // A grid that only the environment names is not asked about a store that is named here.
            (true, None) => return self.own.open(),
            (false, _) if !self.at.is_asked() => return self.own.open(),
            (false, _) => {}
        }
        let far = Far::connect(&self.at, &self.tls_dir, self.insecure)?;
        Ok(Store::served(far.client.shown(), Box::new(far.clone())))
    }

    /// The run that is meant, by its id, the beginning of one, `latest`, `NAME@latest` or `NAME@baseline`.
    pub(super) fn get(&self, what: &str, kind: Option<Kind>) -> Result<Stored, Failure> {
        let store = self.open()?;
        let stored = runtime()?.block_on(async {
            let id = store.resolve(what, kind).await?;
            store.get(&id).await
        });
        Ok(stored?)
    }
}

/// A coordinator's store. Its connection lives in a thread of its own, for the commands have runtimes that come and go.
#[derive(Clone)]
pub(super) struct Far {
    client: Arc<Client>,
    runtime: Handle,
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Far").field(&self.client.shown()).finish()
    }
}

impl Far {
    fn connect(at: &Where, tls_dir: &std::path::Path, insecure: bool) -> Result<Self, Failure> {
        let own = runtime()?;
        let client = Arc::new(own.block_on(Client::new(at, tls_dir, insecure))?);
        let handle = own.handle().clone();
        // It ends with the process.
        let spawned = std::thread::Builder::new()
            .name("grid".to_owned())
            .spawn(move || own.block_on(std::future::pending::<()>()));
        spawned.map_err(|error| Failure::not_carried_out(format!("no thread for the connection: {error}")))?;
        Ok(Far { client, runtime: handle })
    }
}

impl Serves for Far {
    fn ask(&self, ask: Ask) -> Answering<'_> {
        let client = Arc::clone(&self.client);
        let asked = self.runtime.spawn(async move { client.files(ask).await });
        Box::pin(async move {
            let answered: Result<Answer, Failure> =
                asked.await.map_err(|_| "the connection to the grid is gone".to_owned())?;
            answered.map_err(|failure| failure.message)
        })
    }
}
