//! `caribe real-server agent`: tells whoever connects how this machine is, in a line of HAProxy's
//! agent protocol, so that a director can follow it with the weight.
//!
//! It runs in the foreground, keeps no state, and needs no privileges. `processor` measures,
//! `words` is what the machine's administrator adds, `answer` puts the line together; all three
//! are pure but for reading two files of `/proc` and one of the administrator's.

mod answer;
mod processor;
mod words;

use std::io::{self, Write};
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::error::RealServerError;
use answer::{Percent, line};
use processor::{Measure, Processor};
use words::Words;

/// Report this machine's load to directors and HAProxy (`agent-check`)
///
/// Each connection gets one line, such as `up 87%`, and is closed. SIGTERM and SIGINT end it.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where to listen; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", default_values_t = [DEFAULT])]
    listen: Vec<SocketAddr>,
    /// What the percentage tells
    #[arg(long, value_enum, default_value_t = Measure::Idle)]
    measure: Measure,
    /// Seconds over which the processors are measured
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=3600))]
    interval: u32,
    /// The least percentage to report: 0 would drain the machine because it is busy
    #[arg(long, value_name = "PERCENT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=100))]
    minimum: u8,
    /// A file whose one line is reported besides: `drain`, `maint`, `down # disk full`,
    /// `maxconn:30`. While it is missing or empty, `ready` is reported
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
}

const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::UNSPECIFIED), 9777);

/// Connections served at once; more wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 64;

/// How long a connection may take to take its line, and then to go.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
pub(crate) async fn run(
    arguments: Arguments,
    output: &mut impl Write,
) -> Result<u8, RealServerError> {
    let mut processor = Processor::new(arguments.measure);
    processor.look()?;
    let heard = |kind| signal(kind).map_err(RealServerError::Runtime);
    let mut terminated = heard(SignalKind::terminate())?;
    let mut interrupted = heard(SignalKind::interrupt())?;
    // Before the first measurement there is nothing to complain of.
    let (tell, told) = watch::channel(line(Percent::FULL, &read(&arguments)));
    let mut tasks = JoinSet::new();
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    for address in &arguments.listen {
        let failed = |source| RealServerError::Listen {
            address: *address,
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        writeln!(output, "answering on {bound}").map_err(RealServerError::Output)?;
        tasks.spawn(serve(listener, told.clone(), Arc::clone(&room)));
    }
    output.flush().map_err(RealServerError::Output)?;
    let mut measuring = interval(Duration::from_secs(arguments.interval.into()));
    measuring.set_missed_tick_behavior(MissedTickBehavior::Delay);
    measuring.tick().await;
    loop {
        tokio::select! {
            _ = measuring.tick() => {
                let free = processor.look()?.max(Percent::new(arguments.minimum.into()));
                tell.send_replace(line(free, &read(&arguments)));
            }
            // A listener goes on whatever happens to a connection.
            Some(Err(error)) = tasks.join_next() => std::panic::resume_unwind(error.into_panic()),
            _ = terminated.recv() => return Ok(0),
            _ = interrupted.recv() => return Ok(0),
        }
    }
}

/// The administrator's words as they are now. What cannot be understood is told and left out.
fn read(arguments: &Arguments) -> Words {
    let Some(path) = &arguments.words else {
        return Words::default();
    };
    match words::read(path) {
        Ok(words) => words,
        Err(error) => {
            tracing::error!(file = %path.display(), %error, "the agent's words are left out");
            eprintln!("{}: {error}: left out", path.display());
            Words::default()
        }
    }
}

async fn serve(listener: TcpListener, told: watch::Receiver<String>, room: Arc<Semaphore>) {
    loop {
        // Never closed, so that it is only waited for.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let line = told.borrow().clone();
                tokio::spawn(async move {
                    let answering = timeout(PATIENCE, answer(stream, line));
                    if let Ok(Err(error)) = answering.await {
                        tracing::debug!(%peer, %error, "went without its answer");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // No descriptors, most likely: they come back as connections go.
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Writes the line, and waits for the other end to go: closing over something unread would reset
/// the connection and could take the line with it.
async fn answer(mut stream: TcpStream, line: String) -> io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 256];
    for _ in 0..16 {
        if stream.read(&mut rest).await? == 0 {
            break;
        }
    }
    Ok(())
}
