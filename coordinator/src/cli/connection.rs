//! The way to a served coordinator: an address and certificates, or a release that a cluster has.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use hyper_util::rt::TokioIo;
use loadgrid_proto::v1::control_client::ControlClient;
use loadgrid_proto::{MESSAGE_BYTES_MAX, v1};
use loadgrid_worker::session::status_text;
use loadgrid_worker::tls;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::Failure;
use crate::kube;
use crate::store::{Answer, Ask};

/// An answer that is no stream takes no longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What even a slow line takes of a submission, bytes/s.
const UPLOAD_MIN: u64 = 128 * 1024;

/// Which coordinator.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Where {
    /// Let a served coordinator (`loadgrid serve`) run it with its pool [env: LOADGRID_GRID].
    #[arg(long, value_name = "https://HOST:PORT", conflicts_with = "kube")]
    grid: Option<String>,
    /// The same, through the API server of the kubeconfig's cluster, with the certificate that the release keeps for
    /// operators [default release: the namespace's only one].
    #[arg(long, value_name = "NAMESPACE/RELEASE", num_args = 0..=1, default_missing_value = "")]
    kube: Option<String>,
    /// Of the kubeconfig [default: its current one].
    #[arg(long, value_name = "CONTEXT", requires = "kube")]
    context: Option<String>,
}

impl Where {
    /// A coordinator by its address.
    pub(super) fn at(url: &str) -> Self {
        Where { grid: Some(url.to_owned()), ..Where::default() }
    }

    /// By a flag or by the environment.
    pub(super) fn is_asked(&self) -> bool {
        self.flag().is_some() || self.url().is_some()
    }

    /// The flag that names one.
    pub(super) fn flag(&self) -> Option<&'static str> {
        let grid = self.grid.as_ref().map(|_| "--grid");
        grid.or_else(|| self.kube.as_ref().map(|_| "--kube"))
    }

    /// A flag wins over the environment, --kube too.
    fn url(&self) -> Option<String> {
        let of_environment = || std::env::var("LOADGRID_GRID").ok().filter(|url| !url.is_empty());
        self.grid.clone().or_else(|| of_environment().filter(|_| self.kube.is_none()))
    }
}

/// A submission without a run.
pub(super) enum Unanswered {
    Refused(Failure),
    /// The connection or its answer was lost: the coordinator may have it, or not.
    Lost(String),
}

/// A client of the Control API. It connects when it is asked something, and anew when a connection is lost.
pub(super) struct Client {
    channel: Channel,
    shown: String,
    flags: String,
}

impl Client {
    /// # Errors
    /// An address or certificates that can't be used, or no such release.
    pub(super) async fn new(at: &Where, tls_dir: &Path, insecure: bool) -> Result<Self, Failure> {
        Client::showing("operator", at, tls_dir, insecure).await
    }

    /// With the certificate of this role.
    pub(super) async fn showing(role: &str, at: &Where, tls_dir: &Path, insecure: bool) -> Result<Self, Failure> {
        if let Some(release) = &at.kube {
            return Client::through(release, at.context.as_deref()).await;
        }
        let Some(url) = &at.url() else { return Err(Failure::usage("no grid is named: add --grid URL or --kube")) };
        let material = match insecure {
            true => None,
            false => Some(tls::Files::in_dir(tls_dir, role).read().map_err(Failure::usage)?),
        };
        let endpoint = tls::endpoint(url, material).map_err(Failure::usage)?;
        let security = if insecure { " --insecure" } else { "" };
        Ok(Client { channel: endpoint.connect_lazy(), shown: url.clone(), flags: format!("--grid {url}{security}") })
    }

    /// A coordinator in a cluster, over a tunnel for each connection.
    async fn through(release: &str, context: Option<&str>) -> Result<Self, Failure> {
        let cluster = kube::client::cluster(context).await.map_err(Failure::not_carried_out)?;
        let wanted = Some(release).filter(|release| !release.is_empty());
        let release = kube::tunnel::find(&cluster, wanted).await.map_err(Failure::not_carried_out)?;
        let kube::tunnel::Material { ca, certificate, key } = release.material.clone();
        let url = format!("https://{}:{}", release.server_name, kube::tunnel::PORT);
        let material = tls::Material { ca, certificate, key };
        let endpoint = tls::endpoint(&url, Some(material)).map_err(Failure::not_carried_out)?;
        let shown = format!("release {release} on {}", cluster.server);
        let context = context.map(|context| format!(" --context {context}")).unwrap_or_default();
        let flags = format!("--kube {release}{context}");
        let connector = tower::service_fn(move |_| {
            let release = release.clone();
            async move { release.connect().await.map(TokioIo::new).map_err(std::io::Error::other) }
        });
        Ok(Client { channel: endpoint.connect_with_connector_lazy(connector), shown, flags })
    }

    /// For people.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The flags that lead there again.
    pub(super) fn flags(&self) -> &str {
        &self.flags
    }

    fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    pub(super) async fn submit(&self, submission: Vec<u8>) -> Result<v1::SubmitReply, Unanswered> {
        let mut control = self.control();
        // Files take their time on a slow line.
        let patience = ANSWER_TIMEOUT + Duration::from_secs(submission.len() as u64 / UPLOAD_MIN);
        let asked = control.submit(v1::SubmitRequest { submission });
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok(reply)) => Ok(reply.into_inner()),
            // What the coordinator says is an answer; what becomes of a connection is none.
            Ok(Err(status)) if lost(&status) => Err(Unanswered::Lost(status_text(&status))),
            Ok(Err(status)) => Err(Unanswered::Refused(self.refused(&status))),
            Err(_) => Err(Unanswered::Lost(format!("none within {} s", patience.as_secs()))),
        }
    }

    pub(super) async fn watch(&self, run: &str, lines: u64) -> Result<Streaming<v1::Watched>, Status> {
        let request = v1::WatchRequest { run: run.to_owned(), lines };
        Ok(self.control().watch(request).await?.into_inner())
    }

    pub(super) async fn status(&self) -> Result<v1::StatusReply, Failure> {
        let mut control = self.control();
        Ok(self.answer(control.status(v1::StatusRequest {})).await?.into_inner())
    }

    pub(super) async fn stop(&self, run: &str, reason: &str) -> Result<String, Failure> {
        let mut control = self.control();
        let asked = control.stop(v1::StopRequest { reason: reason.to_owned(), run: run.to_owned() });
        Ok(self.answer(asked).await?.into_inner().run)
    }

    /// Asks the store behind it.
    pub(super) async fn files(&self, ask: Ask) -> Result<Answer, Failure> {
        let mut control = self.control();
        let ask = serde_json::to_vec(&ask).map_err(Failure::not_carried_out)?;
        let reply = self.answer(control.files(v1::FilesRequest { ask })).await?.into_inner();
        serde_json::from_slice(&reply.answer).map_err(Failure::not_carried_out)
    }

    /// The document of a run, JSON.
    pub(super) async fn report(&self, run: &str) -> Result<String, Failure> {
        let mut control = self.control();
        let reply = self.answer(control.report(v1::ReportRequest { run: run.to_owned() })).await?.into_inner();
        String::from_utf8(reply.document).map_err(Failure::not_carried_out)
    }

    async fn answer<T>(&self, asked: impl Future<Output = Result<T, Status>>) -> Result<T, Failure> {
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(answer) => answer.map_err(|status| self.refused(&status)),
            Err(_) => {
                let seconds = ANSWER_TIMEOUT.as_secs();
                Err(Failure::not_carried_out(format!("{} does not answer within {seconds} s", self.shown)))
            }
        }
    }

    /// What an answer that is none means.
    pub(super) fn refused(&self, status: &Status) -> Failure {
        if let Some(source) = std::error::Error::source(status) {
            // No coordinator said it: it is what became of the connection.
            let why = words(&innermost(source), &self.flags);
            return Failure::not_carried_out(format!("{} is not reached: {why}", self.shown));
        }
        let text = status_text(status);
        match status.code() {
            // Its place in the test is in front.
            Code::InvalidArgument | Code::FailedPrecondition => Failure::usage(text),
            Code::Unavailable => Failure::not_carried_out(format!("{} is not reached: {text}", self.shown)),
            _ => Failure::not_carried_out(format!("the coordinator refused: {text}")),
        }
    }
}

/// Whether a status tells what became of the connection rather than what the coordinator said.
fn lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some() || matches!(status.code(), Code::Unavailable | Code::Cancelled)
}

/// The cause of all others: what stands around it says no more than that there was one.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// A cause with its mend, where it is of certificates.
fn words(cause: &str, flags: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    let mend = if flags.contains("--insecure") && has(&["frame with invalid size", "HTTP/2 connection preface"]) {
        "it does not speak plaintext: write https://, and leave --insecure out"
    } else if has(&["CertificateExpired", "certificate expired", "Expired"]) {
        "a certificate has expired: renew it (`loadgrid certs` makes new ones; the chart's tls.helm.rotate)"
    } else if has(&["BadSignature", "UnknownIssuer"]) {
        "the coordinator's certificate is of another CA than the folder's ca.pem: name the folder that was made with it (--tls-dir)"
    } else if has(&["DecryptError", "UnknownCA", "UnknownCa", "BadCertificate", "CertificateUnknown"]) {
        "the coordinator does not trust the operator's certificate: it is of another CA (--tls-dir)"
    } else if has(&["NotValidForName", "not valid for name"]) {
        "the coordinator's certificate is not for this name: `loadgrid certs DIR --name HOST`, or the chart's tls.extraNames"
    } else {
        return cause.to_owned();
    };
    format!("{mend} ({cause})")
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_with_its_mend() {
        for (cause, part) in [
            ("invalid peer certificate: BadSignature", "another CA than the folder's"),
            ("received fatal alert: DecryptError", "does not trust the operator's"),
            ("received fatal alert: CertificateExpired", "has expired"),
            ("invalid peer certificate: NotValidForName", "--name HOST"),
        ] {
            let said = words(cause, "--grid https://h:7400");
            assert!(said.contains(part) && said.ends_with(&format!("({cause})")), "{said}");
        }
        assert_eq!(words("Connection refused (os error 111)", ""), "Connection refused (os error 111)");
    }
}
