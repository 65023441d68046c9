//! A playlist's text in every form it is given in: full or delta, plain or compressed. Each is made on first demand,
//! once, whoever else asks for it meanwhile.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hls::path::Skip;
use hls::playlist::delta::{Recent, dates, derive};
use tokio::sync::{Mutex, Semaphore};

use crate::metrics::compressed;

/// Texts longer than this are compressed away from the threads that serve: a playlist of six hours takes one for as long
/// as thousands of answers do.
pub const AT_ONCE_BYTES_MAX: usize = 128 << 10;

/// Most long texts compressed at a time; more wait for their turn, each for as long as it takes to compress those before.
const COMPRESSING_MAX: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(COMPRESSING_MAX);

/// One version of a media playlist.
#[derive(Debug, Clone, Default)]
pub struct Forms(Arc<Version>);

#[derive(Debug, Default)]
struct Version {
    full: Form,
    /// None where all date ranges count as new.
    recent: Option<Recent>,
    /// Delta updates; `None` inside where there is nothing to skip.
    segments: OnceLock<Option<Form>>,
    dates: OnceLock<Option<Form>>,
}

impl Forms {
    /// A full text, and which of its date ranges are new.
    pub fn new(text: impl Into<Bytes>, recent: Recent) -> Self {
        Self(Arc::new(Version {
            full: Form::new(text),
            recent: Some(recent),
            ..Version::default()
        }))
    }

    /// A text without memory of what it said before: delta updates have all of its date ranges. There are few, and who
    /// rewinds asks seldom.
    pub fn of_recording(text: impl Into<Bytes>) -> Self {
        Self(Arc::new(Version {
            full: Form::new(text),
            ..Version::default()
        }))
    }

    /// The full text.
    pub fn text(&self) -> &Bytes {
        &self.0.full.0.plain
    }

    /// The form that was asked for (rfc8216bis §6.2.5.1); the full one where nothing can be left out.
    pub fn form(&self, skip: Option<Skip>) -> Form {
        let version = &self.0;
        let text = || std::str::from_utf8(self.text()).ok();
        let made = |dates: Option<&Recent>| derive(text()?, dates).map(Form::new);
        let dated = || match &version.recent {
            Some(recent) => made(Some(recent)),
            None => made(Some(&Recent::all(dates(text()?)))),
        };
        let delta = match skip {
            None => &None,
            Some(Skip::Segments) => version.segments.get_or_init(|| made(None)),
            Some(Skip::Dates) => version.dates.get_or_init(dated),
        };
        delta.as_ref().unwrap_or(&version.full).clone()
    }
}

/// A text that never changes, plain and compressed.
#[derive(Debug, Clone, Default)]
pub struct Form(Arc<Encodings>);

#[derive(Debug, Default)]
struct Encodings {
    plain: Bytes,
    gzip: OnceLock<Bytes>,
    /// Held by who has it compressed.
    compressing: Mutex<()>,
    /// What is told of it elsewhere.
    announced: OnceLock<Form>,
    hash: OnceLock<u64>,
}

impl Form {
    /// A text.
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self(Arc::new(Encodings {
            plain: text.into(),
            ..Encodings::default()
        }))
    }

    /// The text itself.
    pub fn plain(&self) -> &Bytes {
        &self.0.plain
    }

    /// Another text that is made of this one, always by the same rule; on first demand, once.
    pub fn announced(&self, make: impl FnOnce(&Bytes) -> Self) -> Self {
        self.0.announced.get_or_init(|| make(&self.0.plain)).clone()
    }

    /// Returns when [`Form::gzip`] takes no time: once one of all who ask has had a long text compressed.
    pub async fn compress(&self) {
        if self.0.plain.len() <= AT_ONCE_BYTES_MAX || self.0.gzip.get().is_some() {
            return;
        }
        let _one = self.0.compressing.lock().await;
        if self.0.gzip.get().is_some() {
            return;
        }
        let turn = TURNS.acquire().await.expect("it is never closed");
        let form = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            form.gzip();
            drop(turn);
        });
        // Where it was not to be, whoever answers compresses it.
        if made.await.is_ok() {
            compressed();
        }
    }

    /// The text compressed (rfc8216bis §6.2.1). Where it is long, [`Form::compress`] comes before.
    pub fn gzip(&self) -> &Bytes {
        self.0.gzip.get_or_init(|| {
            // Deltas are for size; what is left is worth less than the time a better level takes.
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            let written = encoder.write_all(&self.0.plain).and_then(|()| encoder.finish());
            written.expect("a Vec takes whatever is written").into()
        })
    }

    /// A strong validator of one encoding (RFC 9110 §8.8.3): other bytes, another tag.
    pub fn etag(&self, is_gzip: bool) -> String {
        let hash = self.0.hash.get_or_init(|| fnv(&self.0.plain));
        let encoding = if is_gzip { "-gzip" } else { "" };
        format!("\"{hash:016x}{encoding}\"")
    }
}

/// FNV-1a: the same at every node, which no keyed hash is.
fn fnv(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::thread;

    use super::*;

    fn text(segments: u32) -> String {
        let head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12,CAN-SKIP-DATERANGES=YES\n";
        let listed: String = (0..segments).map(|n| format!("#EXTINF:2,\n{n}.m4s\n")).collect();
        format!("{head}{listed}")
    }

    #[test]
    fn every_form_is_made_once_for_everyone() {
        let forms = Forms::new(text(1_000), Recent::default());
        for skip in [None, Some(Skip::Segments), Some(Skip::Dates)] {
            let gzip = |forms: &Forms| forms.form(skip).gzip().as_ptr() as usize;
            let all: Vec<usize> = thread::scope(|scope| {
                let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| gzip(&forms))).collect();
                asked.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(all.iter().all(|place| *place == all[0]));
            let (form, mut plain) = (forms.form(skip), Vec::new());
            flate2::read::GzDecoder::new(&form.gzip()[..])
                .read_to_end(&mut plain)
                .unwrap();
            assert_eq!(plain[..], form.plain()[..]);
        }
        let lengths =
            [None, Some(Skip::Segments), Some(Skip::Dates)].map(|skip| forms.form(skip).plain().len());
        assert!(lengths[1] < 500 && lengths[2] < 500 && lengths[0] == forms.text().len());
    }

    #[test]
    fn what_has_nothing_to_skip_is_full_and_tags_tell_bytes_apart() {
        let (short, long) = (
            Forms::new(text(3), Recent::default()),
            Forms::new(text(30), Recent::default()),
        );
        let tag = |forms: &Forms, skip, gzip| forms.form(skip).etag(gzip);
        assert_eq!(tag(&short, None, false), tag(&short, Some(Skip::Dates), false));
        let skips = [None, Some(Skip::Segments), Some(Skip::Dates)];
        let mut tags: Vec<String> = skips.map(|skip| tag(&long, skip, false)).to_vec();
        tags.extend([
            tag(&short, None, false),
            tag(&short, None, true),
            tag(&long, None, true),
        ]);
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 6);
    }

    #[tokio::test]
    async fn a_long_text_is_compressed_elsewhere_and_once() {
        let (short, long) = (Form::new(text(10)), Form::new(text(100_000)));
        assert!(long.plain().len() > AT_ONCE_BYTES_MAX);
        short.compress().await;
        assert!(short.0.gzip.get().is_none(), "it is not worth a thread");
        let given_up = tokio::time::timeout(std::time::Duration::ZERO, long.compress()).await;
        assert!(given_up.is_err(), "the thread that serves is free meanwhile");
        let tasks = tokio_util::task::TaskTracker::new();
        let all: Vec<_> = (0..8)
            .map(|_| long.clone())
            .map(|form| {
                tasks.spawn(async move {
                    form.compress().await;
                    form.0.gzip.get().map(|bytes| bytes.as_ptr() as usize)
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), Some(long.gzip().as_ptr() as usize));
        }
        let all = u32::try_from(COMPRESSING_MAX).unwrap();
        assert!(TURNS.acquire_many(all).await.is_ok(), "every turn ends");
    }

    #[test]
    fn what_is_made_of_a_text_is_made_once() {
        let form = Form::new(text(3));
        let other = |mark: &str| form.announced(|text| Form::new([text, mark.as_bytes()].concat()));
        assert_eq!(other("#A").plain(), other("#B").plain());
        assert!(other("#C").plain().ends_with(b"#A"));
    }
}
