//! The object store: one attempt at a time has a deadline, and while it fails attempts become rare, for all together.

use std::path::Path as Dir;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    Attribute, ClientOptions, ObjectStore, ObjectStoreExt as _, PutOptions, PutPayload, RetryConfig,
};
use tokio::time::{Instant, sleep_until, timeout};

use super::settings::Archive;
use crate::metrics::ArchiveMeter;
use crate::spool::disk;

/// First and longest pause after an attempt that failed.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How soon those who wait see that it is back.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a store that does not answer is spoken of.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// Largest object read back, bytes.
const OBJECT_BYTES_MAX: u64 = 256 << 20;

/// A place for objects.
#[derive(Debug)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
    /// Whether objects can carry their type and how long they may be cached.
    has_headers: bool,
    deadline: Duration,
    health: Mutex<Health>,
    meter: ArchiveMeter,
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its settings.
    #[error("packager.archive cannot be used")]
    Settings(#[source] object_store::Error),
    /// Its directory.
    #[error("the archive's directory cannot be made")]
    Dir(#[source] std::io::Error),
}

/// Why one attempt gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store answered that there is no such object.
    #[error("no such object in the archive")]
    Missing,
    /// It failed.
    #[error("the archive's store failed")]
    Store(#[source] object_store::Error),
    /// It did not answer in time.
    #[error("the archive's store did not answer within {0:?}")]
    Late(Duration),
    /// It has failed a moment ago, and is left alone for now.
    #[error("the archive's store does not answer")]
    Down,
    /// What was read is not what was written.
    #[error("an object of the archive cannot be read")]
    Unreadable,
}

/// Attempts that failed in a row.
#[derive(Debug, Default)]
struct Health {
    failures: u32,
    /// When the next attempt may begin.
    next: Option<Instant>,
    said: Option<Instant>,
}

/// What of a store's answers shows that it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    Success,
    AlsoMissing,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Video,
    Audio,
    /// A playlist that will change within so long.
    Playlist(Duration),
    /// A playlist that stays.
    Whole,
    Json,
}

impl Kind {
    fn headers(self) -> (&'static str, String) {
        const KEPT: &str = "public, max-age=31536000, immutable";
        let playlist = |age: u64| (hls::delivery::PLAYLIST_TYPE, format!("public, max-age={age}"));
        match self {
            Self::Video => (hls::delivery::VIDEO_TYPE, KEPT.to_owned()),
            Self::Audio => (hls::delivery::AUDIO_TYPE, KEPT.to_owned()),
            Self::Playlist(refresh) => playlist((refresh / 2).as_secs()),
            Self::Whole => playlist(300),
            Self::Json => ("application/json", "no-cache".to_owned()),
        }
    }
}

/// An object's name and length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

impl Store {
    /// The store that is set; nothing is asked of it yet.
    pub(crate) fn open(settings: &Archive, data_dir: &Dir, meter: ArchiveMeter) -> Result<Self, Unusable> {
        let (objects, has_headers): (Arc<dyn ObjectStore>, bool) = match settings.bucket() {
            Some((bucket, prefix)) => (s3(settings, bucket, prefix)?, true),
            None => {
                let dir = settings.url.strip_prefix("file://").map(Into::into);
                let dir = dir.unwrap_or_else(|| data_dir.join("archive"));
                disk::make_dir(&dir).map_err(Unusable::Dir)?;
                let local = LocalFileSystem::new_with_prefix(&dir).map_err(Unusable::Settings)?;
                (Arc::new(local.with_automatic_cleanup(true)), false)
            }
        };
        Ok(Self {
            objects,
            has_headers,
            deadline: settings.upload_timeout(),
            health: Mutex::default(),
            meter,
        })
    }

    /// Stores an object; returns once it is there, however long that takes.
    pub(crate) async fn put(&self, name: &str, kind: Kind, chunks: Vec<Bytes>) {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        let payload: PutPayload = chunks.into_iter().collect();
        let path = Path::from(name);
        let put = || async {
            let options = self.options(kind);
            self.objects.put_opts(&path, payload.clone(), options).await
        };
        self.insist(name, put).await;
        self.meter.stored.increment(1);
        self.meter.stored_bytes.increment(bytes as u64);
    }

    fn options(&self, kind: Kind) -> PutOptions {
        let mut options = PutOptions::default();
        if self.has_headers {
            let (content_type, cache) = kind.headers();
            options
                .attributes
                .insert(Attribute::ContentType, content_type.into());
            options.attributes.insert(Attribute::CacheControl, cache.into());
        }
        options
    }

    /// An object has another name, too.
    pub(crate) async fn copy(&self, from: &str, to: &str) -> Result<(), Failure> {
        let (from, to) = (Path::from(from), Path::from(to));
        self.attempt(self.deadline, self.objects.copy(&from, &to)).await
    }

    /// One attempt to store an object.
    pub(crate) async fn try_put(&self, name: &str, kind: Kind, bytes: Bytes) -> Result<(), Failure> {
        let path = Path::from(name);
        let put = self.objects.put_opts(&path, bytes.into(), self.options(kind));
        self.attempt(self.deadline, put).await.map(drop)
    }

    /// One attempt to read an object.
    pub(crate) async fn get(&self, name: &str, deadline: Duration) -> Result<Bytes, Failure> {
        let path = Path::from(name);
        let get = async {
            let found = self.objects.get(&path).await?;
            if found.meta.size > OBJECT_BYTES_MAX {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        };
        let read = self.attempt(deadline, get).await?;
        self.meter.reads.increment(1);
        read.ok_or(Failure::Unreadable)
    }

    /// One attempt to remove an object; one that is not there is removed.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), Failure> {
        let path = Path::from(name);
        match self.attempt(self.deadline, self.objects.delete(&path)).await {
            Err(Failure::Missing) => Ok(()),
            deleted => deleted,
        }
    }

    /// Names of the directories in one.
    pub(crate) async fn dirs(&self, dir: &str) -> Result<Vec<String>, Failure> {
        let path = Path::from(dir);
        let list = self.objects.list_with_delimiter(Some(&path));
        let listed = match self.attempt(self.deadline, list).await {
            Err(Failure::Missing) => return Ok(Vec::new()),
            listed => listed?,
        };
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        Ok(names.map(str::to_owned).collect())
    }

    /// Everything below a directory.
    pub(crate) async fn all(&self, dir: &str) -> Result<Vec<Listed>, Failure> {
        let (mut found, mut dirs) = (Vec::new(), vec![Path::from(dir)]);
        while let Some(dir) = dirs.pop() {
            let list = self.objects.list_with_delimiter(Some(&dir));
            let listed = match self.attempt(self.deadline, list).await {
                Err(Failure::Missing) => continue,
                listed => listed?,
            };
            dirs.extend(listed.common_prefixes);
            found.extend(listed.objects.into_iter().map(|object| Listed {
                name: object.location.to_string(),
                bytes: object.size,
            }));
        }
        Ok(found)
    }

    /// Tries until it goes well. While the store fails, all who wait share one attempt a pause.
    async fn insist<T, F>(&self, name: &str, attempt: impl Fn() -> F)
    where
        F: Future<Output = object_store::Result<T>>,
    {
        loop {
            while let Some(until) = self.turn() {
                // It may have come back meanwhile.
                sleep_until(until.min(Instant::now() + PATIENCE)).await;
            }
            let ended = timeout(self.deadline, attempt()).await;
            // A bucket that is not there is "not found", too.
            match self.judge(ended, self.deadline, Answers::Success) {
                Ok(_) => return,
                Err(failure) => self.say(name, &failure),
            }
        }
    }

    async fn attempt<T>(
        &self,
        deadline: Duration,
        attempt: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Failure> {
        match self.turn() {
            Some(_) => Err(Failure::Down),
            None => self.judge(timeout(deadline, attempt).await, deadline, Answers::AlsoMissing),
        }
    }

    /// None where an attempt may begin now, else when to ask again.
    fn turn(&self) -> Option<Instant> {
        let mut health = self.lock();
        let next = health.next?;
        let now = Instant::now();
        if now < next {
            return Some(next);
        }
        // This one tries; the others wait for what becomes of it, or for the pause after it.
        health.next = Some(now + pause(health.failures) + self.deadline);
        None
    }

    fn judge<T>(
        &self,
        ended: Result<object_store::Result<T>, tokio::time::error::Elapsed>,
        deadline: Duration,
        answers: Answers,
    ) -> Result<T, Failure> {
        let failure = match ended {
            Ok(Ok(value)) => {
                self.well();
                return Ok(value);
            }
            Ok(Err(object_store::Error::NotFound { .. })) if answers == Answers::AlsoMissing => {
                self.well();
                return Err(Failure::Missing);
            }
            Ok(Err(error)) => Failure::Store(error),
            Err(_) => Failure::Late(deadline),
        };
        self.meter.failures.increment(1);
        // Viewers are impatient; what is too late for them may do for an upload.
        if matches!(failure, Failure::Late(_)) && deadline < self.deadline {
            return Err(failure);
        }
        self.meter.up.set(0.0);
        let mut health = self.lock();
        health.failures = health.failures.saturating_add(1);
        health.next = Some(Instant::now() + pause(health.failures));
        Err(failure)
    }

    fn well(&self) {
        let mut health = self.lock();
        let was = health.failures;
        *health = Health::default();
        drop(health);
        self.meter.up.set(1.0);
        if was > 3 {
            tracing::info!(failures = was, "the archive's store answers again");
        }
    }

    fn say(&self, name: &str, failure: &Failure) {
        let mut health = self.lock();
        let now = Instant::now();
        if health
            .said
            .is_none_or(|said| now.duration_since(said) >= SAID_EVERY)
        {
            health.said = Some(now);
            drop(health);
            let error = failure as &dyn std::error::Error;
            tracing::warn!(
                object = name,
                error,
                "the archive's store fails: what it does not have stays on disk"
            );
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Half of it is chance, so that packagers that lost the same store do not return together.
fn pause(failures: u32) -> Duration {
    let longest = PAUSE_FIRST
        .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
        .min(PAUSE_MAX);
    let share = getrandom::u32().map_or(0.5, |chance| f64::from(chance) / f64::from(u32::MAX));
    longest.mul_f64(0.5 + share / 2.0)
}

fn s3(settings: &Archive, bucket: &str, prefix: &str) -> Result<Arc<dyn ObjectStore>, Unusable> {
    let deadline = settings.upload_timeout();
    let client = ClientOptions::new()
        .with_timeout(deadline)
        .with_connect_timeout(deadline.min(Duration::from_secs(5)));
    // One layer owns each retry, and that is `insist`.
    let retry = RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_client_options(client)
        .with_retry(retry)
        .with_bucket_name(bucket)
        .with_virtual_hosted_style_request(!settings.path_style);
    if let Some(endpoint) = &settings.endpoint {
        let in_the_clear = endpoint.starts_with("http://");
        builder = builder.with_endpoint(endpoint).with_allow_http(in_the_clear);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(secret)) = (&settings.access_key_id, &settings.secret_access_key) {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    let store = builder.build().map_err(Unusable::Settings)?;
    Ok(Arc::new(PrefixStore::new(store, Path::from(prefix))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_half_a_minute_and_are_not_all_alike() {
        for failures in 1..40 {
            let longest = Duration::from_millis(250 << (failures - 1).min(7)).min(PAUSE_MAX);
            let pause = pause(failures);
            assert!(longest / 2 <= pause && pause <= longest, "{failures}: {pause:?}");
        }
        let first: Vec<Duration> = (0..8).map(|_| pause(9)).collect();
        assert!(first.iter().any(|pause| *pause != first[0]));
    }
}
