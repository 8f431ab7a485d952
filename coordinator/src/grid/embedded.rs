//! The embedded grid: workers in this process, over the same session protocol, through pipes in memory. It opens no
//! port.

use hyper_util::rt::TokioIo;
use loadgrid_worker::limits;
use loadgrid_worker::session::{Dial, Options, Worker, error_chain};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use super::Events;
use super::server::Service;

/// Bytes that may wait in a pipe.
const PIPE_BYTES: usize = 1024 * 1024;

/// Connections that may wait to be accepted.
const DIALS_MAX: usize = 16;

/// Starts so many workers of so many lanes each. They end with the runtime, or when told to.
pub fn embed(workers: usize, lanes: u32, events: Events) {
    let (dials, accepted) = mpsc::channel::<DuplexStream>(DIALS_MAX);
    tokio::spawn(async move {
        let incoming = ReceiverStream::new(accepted).map(Ok);
        if let Err(error) = Service::in_process(events).serve(incoming).await {
            tracing::error!("the embedded grid ended: {error}");
        }
    });
    let max_connections = limits::raise_descriptors() / workers.max(1) as u64;
    for number in 1..=workers {
        let options = Options {
            id: format!("embedded-{number:04}"),
            name: format!("embedded-{number}"),
            lanes,
            max_connections,
            once: true,
            give_up: None,
        };
        let worker = Worker::new(dial(dials.clone()), options);
        tokio::spawn(async move {
            let (_running, stop) = watch::channel(false);
            if let Err(error) = worker.run(stop).await {
                tracing::error!("embedded worker {number}: {error}");
            }
        });
    }
}

fn dial(dials: mpsc::Sender<DuplexStream>) -> Dial {
    Box::new(move || {
        let dials = dials.clone();
        Box::pin(async move {
            let connector = tower::service_fn(move |_| {
                let dials = dials.clone();
                async move {
                    let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
                    dials.send(theirs).await.map_err(|_| std::io::Error::other("the coordinator is gone"))?;
                    Ok::<_, std::io::Error>(TokioIo::new(ours))
                }
            });
            let endpoint = Endpoint::from_static("http://embedded.grid");
            endpoint.connect_with_connector(connector).await.map_err(|error| error_chain(&error))
        })
    })
}
