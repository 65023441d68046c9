//! Opening and closing the port.

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::Duration;

use crate::connection::{Connection, Sink};
use crate::counters::{Counters, Tally};
use crate::ffi::{self, Epoll, Failure, Hook, HookToken, Interest, Socket};
use crate::gate::{Authorize, Gate};
use crate::options::{Invalid, Options};
use crate::process::{Life, Running};
use crate::reader::Reader;

/// How long closing waits for the reader: for a sink that returns, and for libsrt.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// A port that publishers call. Dropping it closes it.
pub struct Listener {
    address: SocketAddr,
    tally: Arc<Tally>,
    life: Arc<Life>,
}

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Options outside their bounds.
    #[error("srt: {}", list(.0))]
    Options(Vec<Invalid>),
    /// libsrt would not.
    #[error("srt listener on {address}")]
    Srt {
        /// The address asked for.
        address: SocketAddr,
        /// libsrt's words.
        #[source]
        source: Failure,
    },
    /// Another libsrt than this crate knows.
    #[error("libsrt {major}.{minor} is not 1.5")]
    Version {
        /// Its major version.
        major: u32,
        /// Its minor version.
        minor: u32,
    },
    /// No thread.
    #[error("srt reader thread")]
    Thread(#[source] std::io::Error),
    /// The process has begun to exit.
    #[error("process is exiting")]
    Exiting,
}

impl Listener {
    /// Opens the port. `authorize` answers callers (see [`Authorize`] for what it must not do); `connected` is given
    /// each connection with the tag of its verdict, on the reader thread, and must not block either.
    pub fn bind<T: Send + 'static>(
        options: &Options,
        authorize: Authorize<T>,
        connected: impl FnMut(Connection, T) -> Box<dyn Sink> + Send + 'static,
    ) -> Result<Self, Error> {
        let invalid = options.invalid();
        if !invalid.is_empty() {
            return Err(Error::Options(invalid));
        }
        let version = ffi::version();
        let (major, minor) = (version >> 16, version >> 8 & 0xff);
        if (major, minor) != (1, 5) {
            return Err(Error::Version { major, minor });
        }
        let failed = |source| Error::Srt {
            address: options.listen,
            source,
        };
        let life = Life::register().ok_or(Error::Exiting)?;
        let running = Running::start().map_err(failed)?;
        let tally = Arc::new(Tally::default());
        let gate = Arc::new(Gate::new(options, authorize, Arc::clone(&tally)));
        let hook = HookToken::new(hook_of(&gate));
        let (listener, epoll) = open(options, &hook).map_err(failed)?;
        let address = listener.local().unwrap_or(options.listen);
        let reader = Reader {
            options: options.clone(),
            listener,
            epoll,
            gate,
            hook,
            connected: Box::new(connected),
            tally: Arc::clone(&tally),
            open: Arc::new(RwLock::new(true)),
            life: Arc::clone(&life),
            running,
        };
        let thread = thread::Builder::new().name("srt-reader".into());
        if let Err(error) = thread.spawn(move || reader.run()) {
            // The reader went with its closure, and libsrt with it; only the socket is a bare number.
            listener.close();
            life.end();
            return Err(Error::Thread(error));
        }
        Ok(Self { address, tally, life })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has counted.
    pub fn counters(&self) -> Counters {
        self.tally.read()
    }

    /// Closes the port and every connection ([`crate::End::Listener`]), and waits until its threads are gone and the
    /// port is free; `false` if a sink did not return within 5 s, or when called on the reader thread itself, which
    /// then ends as soon as it can.
    pub fn close(self) -> bool {
        self.shut()
    }

    fn shut(&self) -> bool {
        self.life.stop();
        self.life.wait(CLOSE_WAIT)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shut();
    }
}

fn hook_of<T: Send + 'static>(gate: &Arc<Gate<T>>) -> Arc<Hook> {
    let gate = Arc::clone(gate);
    Arc::new(move |socket, peer, version, stream_id| gate.answer(socket, peer, version, stream_id))
}

fn open(options: &Options, hook: &HookToken) -> Result<(Socket, Epoll), Failure> {
    let socket = Socket::create()?;
    let opened = Epoll::create().and_then(|epoll| {
        options.apply(socket)?;
        socket.bind(options.listen)?;
        socket.ask(hook)?;
        epoll.add(socket, Interest::Read)?;
        socket.listen(options.backlog)?;
        Ok(epoll)
    });
    match opened {
        Ok(epoll) => Ok((socket, epoll)),
        Err(failure) => {
            socket.close();
            Err(failure)
        }
    }
}

fn list(invalid: &[Invalid]) -> String {
    let texts: Vec<String> = invalid.iter().map(Invalid::to_string).collect();
    texts.join("; ")
}
