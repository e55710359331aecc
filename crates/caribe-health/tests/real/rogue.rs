//! Servers that misbehave, written here because nobody ships them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use caribe_lab::{Host, wait};

use crate::bed::socket;

/// What such a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Says nothing, and waits for the other end to go.
    Mute,
    /// Sends this, then waits for the other end to go.
    Says(&'static [u8]),
    /// Sends this, then closes.
    SaysAndGoes(&'static [u8]),
    /// Sends this first, and then one more byte a second.
    Drips(&'static [u8]),
    /// Sends this first, and then a gigabyte.
    Floods(&'static [u8]),
    /// Sends this again and again, up to a gigabyte.
    Repeats(&'static [u8]),
    /// Sends a gigabyte of what is nobody's protocol.
    Babbles,
}

/// A server on one port of a host. Ends when dropped.
pub(crate) struct Rogue {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Rogue {
    pub(crate) fn start(host: &Host, address: &str, manner: Manner) -> Rogue {
        let address = socket(address);
        let listener = host
            .run(|| TcpListener::bind(address))
            .expect("the host is there")
            .expect("a free port");
        listener.set_nonblocking(true).expect("not blocking");
        let ending = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ending);
        let thread = thread::spawn(move || serve(&listener, manner, &end));
        Rogue {
            ending,
            thread: Some(thread),
        }
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("a misbehaving server panicked");
        }
    }
}

fn serve(listener: &TcpListener, manner: Manner, ending: &AtomicBool) {
    while !ending.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).expect("blocking");
                let step = Some(Duration::from_millis(200));
                stream.set_read_timeout(step).expect("a limit");
                stream.set_write_timeout(step).expect("a limit");
                // That the other end has gone is what each of them waits for.
                let _gone = misbehave(stream, manner, ending);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait::pause(Duration::from_millis(2));
            }
            Err(error) => panic!("accept: {error}"),
        }
    }
}

fn misbehave(mut stream: TcpStream, manner: Manner, ending: &AtomicBool) -> std::io::Result<()> {
    match manner {
        Manner::Mute => {}
        Manner::Says(bytes) => stream.write_all(bytes)?,
        Manner::SaysAndGoes(bytes) => {
            // Reads the question first: closing over it would reset the connection.
            let mut question = [0; 4096];
            if !bytes.is_empty() {
                let _none = stream.read(&mut question);
            }
            stream.write_all(bytes)?;
            stream.shutdown(Shutdown::Write)?;
        }
        Manner::Drips(bytes) => {
            stream.write_all(bytes)?;
            while !ending.load(Ordering::Relaxed) {
                wait::pause(Duration::from_secs(1));
                stream.write_all(b"x")?;
            }
        }
        Manner::Floods(bytes) => {
            stream.write_all(bytes)?;
            pour(&mut stream, &[b'x'; 1 << 16], ending)?;
        }
        Manner::Repeats(bytes) => {
            let block = bytes.repeat(1 + (1 << 14) / bytes.len());
            pour(&mut stream, &block, ending)?;
        }
        Manner::Babbles => {
            let noise: Vec<u8> = (0..1u32 << 16)
                .map(|i| (i * 167 + i / 251) as u8 | 0x80)
                .collect();
            pour(&mut stream, &noise, ending)?;
        }
    }
    let mut rest = [0; 4096];
    while !ending.load(Ordering::Relaxed) {
        match stream.read(&mut rest) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A gigabyte of blocks, or as much of it as the other end takes.
fn pour(stream: &mut TcpStream, block: &[u8], ending: &AtomicBool) -> std::io::Result<()> {
    let mut sent = 0usize;
    while sent < 1 << 30 && !ending.load(Ordering::Relaxed) {
        match stream.write(&block[sent % block.len()..]) {
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
