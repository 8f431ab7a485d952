//! `loadgrid status` and `loadgrid stop`: an operator's view of a coordinator that listens.

use std::path::PathBuf;

use clap::Args;

use super::connection::{Client, Where};
use super::{Failure, Outcome, exit, output, runtime};

#[derive(Args)]
pub(super) struct Coordinator {
    /// Where it listens; a served one may be named by --grid or --kube.
    #[arg(value_name = "https://HOST:PORT")]
    url: Option<String>,
    #[command(flatten)]
    at: Where,
    /// The folder with ca.pem, operator.pem and operator.key.
    #[arg(long, value_name = "DIR", default_value = "certs", env = "LOADGRID_TLS_DIR")]
    tls_dir: PathBuf,
    /// Whose certificate of that folder to show.
    #[arg(long, default_value = "operator", hide = true)]
    role: String,
    /// The coordinator speaks plaintext.
    #[arg(long)]
    insecure: bool,
}

#[derive(Args)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    coordinator: Coordinator,
}

#[derive(Args)]
pub(super) struct StopArguments {
    #[command(flatten)]
    coordinator: Coordinator,
    /// Which one, of a served grid; it may still wait there [default: the one that goes on].
    #[arg(long, value_name = "RUN", default_value = "", hide_default_value = true)]
    run: String,
    /// What the report says of it.
    #[arg(long, default_value = "no reason given")]
    reason: String,
}

pub(super) fn status(arguments: &StatusArguments) -> Outcome {
    runtime()?.block_on(async {
        let status = arguments.coordinator.client().await?.status().await?;
        let of = if status.run.is_empty() { String::new() } else { format!("run {}: ", status.run) };
        output::print(&format!(
            "{of}{}, {} workers, {} of {} requests sent, {} errors\n",
            status.phase, status.workers, status.sent, status.planned, status.errors
        ))?;
        Ok(exit::PASS)
    })
}

pub(super) fn stop(arguments: &StopArguments) -> Outcome {
    runtime()?.block_on(async {
        let run = arguments.coordinator.client().await?.stop(&arguments.run, &arguments.reason).await?;
        output::print(&format!("run {run} is told to stop\n"))?;
        Ok(exit::PASS)
    })
}

impl Coordinator {
    async fn client(&self) -> Result<Client, Failure> {
        let at = match &self.url {
            Some(url) => &Where::at(url),
            None => &self.at,
        };
        Client::showing(&self.role, at, &self.tls_dir, self.insecure).await
    }
}
