//! `loadgrid status` and `loadgrid stop`: an operator's view of a coordinator that listens.

use std::path::PathBuf;

use clap::Args;
use loadgrid_proto::v1;
use loadgrid_proto::v1::control_client::ControlClient;
use loadgrid_worker::tls;
use tonic::transport::Channel;

use super::{Failure, Outcome, exit, output, runtime};

#[derive(Args)]
pub(super) struct Coordinator {
    /// Where it listens.
    #[arg(value_name = "https://HOST:PORT")]
    url: String,
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
        let mut client = connect(&arguments.coordinator).await?;
        let status = client.status(v1::StatusRequest {}).await.map_err(refused)?.into_inner();
        output::print(&format!(
            "run {}: {}, {} workers, {} of {} requests sent, {} errors\n",
            status.run, status.phase, status.workers, status.sent, status.planned, status.errors
        ))?;
        Ok(exit::PASS)
    })
}

pub(super) fn stop(arguments: &StopArguments) -> Outcome {
    runtime()?.block_on(async {
        let mut client = connect(&arguments.coordinator).await?;
        let request = v1::StopRequest { reason: arguments.reason.clone(), run: arguments.run.clone() };
        let stopped = client.stop(request).await.map_err(refused)?.into_inner();
        output::print(&format!("run {} is told to stop\n", stopped.run))?;
        Ok(exit::PASS)
    })
}

async fn connect(coordinator: &Coordinator) -> Result<ControlClient<Channel>, Failure> {
    let material = match coordinator.insecure {
        true => None,
        false => Some(tls::Files::in_dir(&coordinator.tls_dir, &coordinator.role).read().map_err(Failure::usage)?),
    };
    let endpoint = tls::endpoint(&coordinator.url, material).map_err(Failure::usage)?;
    let channel = tls::connect(endpoint).await;
    let channel =
        channel.map_err(|why| Failure::not_carried_out(format!("{} is not reached: {why}", coordinator.url)))?;
    Ok(ControlClient::new(channel))
}

fn refused(status: tonic::Status) -> Failure {
    Failure::not_carried_out(format!("the coordinator refused: {}", loadgrid_worker::session::status_text(&status)))
}
