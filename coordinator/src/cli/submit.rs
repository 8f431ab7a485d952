//! A test's way to a served coordinator: sent once, taken once. An answer that is lost is asked for again under the
//! submission's key, and ctrl-C on the way does not leave a run behind that nobody knows of.

use std::time::Duration;

use loadgrid_proto::v1;
use loadgrid_worker::limits;
use tokio::time::Instant;

use super::connection::{Client, Unanswered};
use super::{Failure, exit, output};
use crate::serve::Submission;

/// A coordinator that is away for longer is given up.
const RESEND_FOR: Duration = Duration::from_secs(60);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// A run that the coordinator has.
pub(super) struct Submitted {
    pub run: String,
    /// Ctrl-C came while it was on its way: it has been told to stop.
    pub stopped: bool,
}

/// Submits a test.
///
/// # Errors
/// The coordinator is not reached, refused the test, or did not answer; or it was interrupted, and what became of the
/// test.
pub(super) async fn submit(client: &Client, submission: &Submission, quiet: bool) -> Result<Submitted, Failure> {
    let bytes = serde_json::to_vec(submission).map_err(Failure::not_carried_out)?;
    // Whoever is not reached at all has not been sent anything either.
    tokio::select! {
        reached = client.status() => drop(reached?),
        () = limits::asked_to_end() => {
            return Err(interrupted("interrupted before the test was submitted".to_owned()));
        }
    }
    let sending = until_answered(client, bytes);
    tokio::pin!(sending);
    let (reply, interrupts) = tokio::select! {
        reply = &mut sending => (reply?, false),
        () = limits::asked_to_end() => {
            output::complain("the test is on its way: it is stopped once it is there; once more to leave it");
            tokio::select! {
                reply = &mut sending => (reply?, true),
                () = limits::asked_to_end() => return Err(interrupted(format!(
                    "the grid may have the test all the same: `loadgrid status {}` tells",
                    client.flags()
                ))),
            }
        }
    };
    if !quiet {
        let link = if reply.link.is_empty() { String::new() } else { format!(", {}", reply.link) };
        output::complain(&format!("run {} is submitted to {}{link}", reply.run, client.shown()));
    }
    if interrupts {
        match client.stop(&reply.run, "interrupted at the command line").await {
            // What is over by now need not be stopped.
            Err(failure) if failure.code != exit::USAGE => return Err(failure),
            _ => {}
        }
    }
    Ok(Submitted { run: reply.run, stopped: interrupts })
}

fn interrupted(message: String) -> Failure {
    Failure { code: exit::INTERRUPTED, message }
}

/// Sends it until it is answered. The key makes it one run, however often it arrives.
async fn until_answered(client: &Client, bytes: Vec<u8>) -> Result<v1::SubmitReply, Failure> {
    let mut since: Option<Instant> = None;
    loop {
        let why = match client.submit(bytes.clone()).await {
            Ok(reply) => return Ok(reply),
            Err(Unanswered::Refused(failure)) => return Err(failure),
            Err(Unanswered::Lost(why)) => why,
        };
        let since = *since.get_or_insert_with(|| {
            output::complain(&format!("the grid's answer was lost ({why}): the same test is sent again"));
            Instant::now()
        });
        if since.elapsed() > RESEND_FOR {
            return Err(Failure::not_carried_out(format!(
                "the grid has not answered for {} s ({why}), and may have the test all the same: `loadgrid status {}` tells",
                RESEND_FOR.as_secs(),
                client.flags()
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
