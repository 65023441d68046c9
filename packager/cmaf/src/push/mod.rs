//! Fragmented MP4 of one track as it comes, in pieces of any size, taken apart into access units.
//!
//! Code map: [`movie`] what an init segment says, `fragment` where a `moof` says that samples are, `boxes` bytes and
//! box headers.
//!
//! Bounds, all of them before anything is allocated: [`MOOV_BYTES_MAX`], [`MOOF_BYTES_MAX`], [`SAMPLES_MAX`],
//! [`SAMPLE_BYTES_MAX`]. Boxes that say nothing of samples (`styp`, `sidx`, `prft`, `emsg`, `mfra`, `free`) are passed
//! over without being kept, whatever their length. A sample is out as soon as its last byte is in.

mod boxes;
mod fragment;
pub mod movie;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};

use boxes::Head;
use fragment::Place;
pub use movie::Movie;

/// Longest `moov`, bytes.
pub const MOOV_BYTES_MAX: u64 = 256 << 10;
/// Longest `moof`, bytes.
pub const MOOF_BYTES_MAX: u64 = 1 << 20;
/// Most samples of one fragment.
pub const SAMPLES_MAX: usize = 16_384;
/// Longest sample, bytes.
pub const SAMPLE_BYTES_MAX: u32 = 16 << 20;
/// Longest `ftyp` or `styp` that is looked into, bytes; of a longer one the brands are not known.
const BRANDS_BYTES_MAX: u64 = 1 << 10;

/// Why bytes are not the media of one track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first box has no name that a file of this kind begins with.
    #[error("this is not fragmented MP4")]
    NotMp4,
    /// A box that cannot be what it says.
    #[error("box {0} is malformed")]
    Malformed(&'static str),
    /// A box over its bound.
    #[error("box {0} is longer than {1} bytes")]
    TooLong(&'static str, u64),
    /// A box that has to be there is not.
    #[error("box {0} is missing")]
    Missing(&'static str),
    /// A file of several tracks.
    #[error("{0} tracks in one file: CMAF has one in each; send them apart")]
    Tracks(usize),
    /// A format that is not packaged.
    #[error("sample entry {0} is not carried (want avc1, hvc1, hev1, av01, mp4a or Opus)")]
    Format(String),
    /// A decoder configuration that does not do.
    #[error("{0}")]
    Config(&'static str),
    /// Media before any init segment.
    #[error("media before an init segment (moov): send the init segment first")]
    NoInit,
    /// The bytes end inside a box.
    #[error("the body ends inside a box")]
    Truncated,
}

/// One access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// When it is shown, ticks of the track's timescale; edit list and composition are applied.
    pub time: i64,
    /// When it is decoded, in the same ticks and with the same edits.
    pub decode: i64,
    /// Ticks until the next one is decoded.
    pub duration: u32,
    /// Whether decoding can start here.
    pub key: bool,
    /// The access unit.
    pub data: Bytes,
}

/// What the bytes held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An init segment.
    Init(Arc<Movie>),
    /// An access unit of the last init segment's track.
    Unit(Unit),
    /// The brand `lmsg`: this segment is the last of its track (ISO/IEC 23009-1 §7.3.1).
    Last,
}

/// The machine.
#[derive(Debug)]
pub struct Parser {
    buffer: BytesMut,
    /// Bytes gone from the front of `buffer` since the beginning.
    at: u64,
    state: State,
    movie: Option<Arc<Movie>>,
    /// Samples of the last `moof`, in the order of their bytes.
    places: VecDeque<Place>,
    /// A box has been seen that a file of this kind begins with.
    begun: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Between boxes.
    Head,
    /// Inside a box that is passed over: bytes to go.
    Skip(u64),
    /// Inside a box that is read as a whole.
    Whole(Head),
    /// Inside `mdat`, which ends here.
    Media(u64),
}

impl Parser {
    /// A body that may begin with media, if the init segment came before it.
    pub fn new(movie: Option<Arc<Movie>>) -> Self {
        Self {
            buffer: BytesMut::new(),
            at: 0,
            state: State::Head,
            movie,
            places: VecDeque::new(),
            begun: false,
        }
    }

    /// Takes bytes; call [`Parser::next`] until it has nothing more before taking others, so that no more than one
    /// sample is ever kept.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// What the bytes up to now have held and has not been told; after an error there is nothing more to be had.
    #[expect(
        clippy::should_implement_trait,
        reason = "not an iterator: more may come after nothing"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.state {
                State::Head => {
                    let Some(head) = boxes::head(&self.buffer)? else {
                        return Ok(None);
                    };
                    self.enter(head)?;
                }
                State::Skip(left) => {
                    let here = self.take(left);
                    if here < left {
                        self.state = State::Skip(left - here);
                        return Ok(None);
                    }
                    self.state = State::Head;
                }
                State::Whole(head) => {
                    if (self.buffer.len() as u64) < head.size {
                        return Ok(None);
                    }
                    let event = self.whole(head)?;
                    self.state = State::Head;
                    if event.is_some() {
                        return Ok(event);
                    }
                }
                State::Media(end) => match self.sample(end)? {
                    Some(unit) => return Ok(Some(Event::Unit(unit))),
                    None if self.at < end => return Ok(None),
                    None => self.state = State::Head,
                },
            }
        }
    }

    /// The body is over: whether it ended between boxes.
    pub fn finish(&self) -> Result<(), Error> {
        match self.state {
            State::Head if self.buffer.is_empty() => Ok(()),
            State::Head if !self.begun => Err(Error::NotMp4),
            State::Head | State::Skip(_) | State::Whole(_) | State::Media(_) => Err(Error::Truncated),
        }
    }

    fn enter(&mut self, head: Head) -> Result<(), Error> {
        // CMAF §7.2 and §7.3: what files, segments and chunks begin with.
        let first = [
            b"ftyp", b"styp", b"moov", b"moof", b"sidx", b"prft", b"emsg", b"free", b"skip", b"mfra",
        ];
        if !self.begun && !first.contains(&&head.kind) {
            return Err(Error::NotMp4);
        }
        self.begun = true;
        self.state = match &head.kind {
            b"moov" if head.size > MOOV_BYTES_MAX => return Err(Error::TooLong("moov", MOOV_BYTES_MAX)),
            b"moof" if head.size > MOOF_BYTES_MAX => return Err(Error::TooLong("moof", MOOF_BYTES_MAX)),
            b"moov" | b"moof" => State::Whole(head),
            b"styp" if head.size <= BRANDS_BYTES_MAX => State::Whole(head),
            b"mdat" => {
                self.take(head.header);
                // Sizes were checked against what 64 bits can count.
                State::Media(self.at.saturating_add(head.size - head.header))
            }
            _ => State::Skip(head.size),
        };
        Ok(())
    }

    fn whole(&mut self, head: Head) -> Result<Option<Event>, Error> {
        let start = self.at;
        // Bounded, so that it fits.
        let size = usize::try_from(head.size).map_err(|_| Error::Malformed("size"))?;
        let bytes = self.buffer.split_to(size).freeze();
        self.at += head.size;
        let header = usize::try_from(head.header).map_err(|_| Error::Malformed("size"))?;
        let body = bytes.get(header..).unwrap_or_default();
        match &head.kind {
            b"moov" => {
                let movie = Arc::new(Movie::read(body)?);
                self.movie = Some(Arc::clone(&movie));
                self.places.clear();
                Ok(Some(Event::Init(movie)))
            }
            b"moof" => {
                let movie = self.movie.as_ref().ok_or(Error::NoInit)?;
                if !self.places.is_empty() {
                    return Err(Error::Missing("mdat"));
                }
                self.places = fragment::places(body, start, movie)?;
                Ok(None)
            }
            _ => Ok(boxes::has_brand(body, *b"lmsg").then_some(Event::Last)),
        }
    }

    /// The next sample that is here as a whole.
    fn sample(&mut self, end: u64) -> Result<Option<Unit>, Error> {
        let Some(place) = self.places.front() else {
            self.take(end - self.at);
            return Ok(None);
        };
        let after = place.at.saturating_add(u64::from(place.size));
        if place.at < self.at || after > end {
            return Err(Error::Malformed("trun"));
        }
        let (at, size) = (place.at, place.size as usize);
        self.take(at - self.at);
        if self.at < at || self.buffer.len() < size {
            return Ok(None);
        }
        let data = self.buffer.split_to(size).freeze();
        self.at = after;
        Ok(self.places.pop_front().map(|place| place.unit(data)))
    }

    /// Drops up to this many bytes; returns how many there were.
    fn take(&mut self, bytes: u64) -> u64 {
        let here = usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        self.buffer.advance(here);
        self.at += here as u64;
        here as u64
    }
}
