//! Events on disk, as an operator sees them.

use packager::events::{self, Error};

use hls::id::{Cell, StreamId};

use crate::process::Process;
use crate::restart::kept;
use crate::stage::{FIRST, Stage};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_listed_and_deleted_but_not_under_a_packager() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(events::list(dir.path()).unwrap(), []);
    let process = Process::start(dir.path());
    let mut stage = Stage::of(process.addresses()).await;
    stage.feed(40).await;
    kept(&stage, 40_000_009).await;
    stage.end().await;
    // Another one begins where the first has ended.
    stage.restart(4, false).await;
    let second = stage.next.0;
    stage.feed(40).await;
    kept(&stage, second / 4 + 9).await;

    let found = events::list(dir.path()).unwrap();
    let short: Vec<_> = found
        .iter()
        .map(|e| (e.event, e.ended, e.newest, e.length_s))
        .collect();
    assert_eq!(short, [(FIRST.0, true, false, 20.0), (second, false, true, 20.0)]);
    assert_eq!(
        (found[0].started.as_str(), found[0].tracks.len()),
        ("2026-07-14T22:13:20.000Z", 3)
    );
    let main = StreamId::new("main").unwrap();
    let delete = |event| events::delete(dir.path(), &main, event);
    assert!(matches!(delete(second), Err(Error::InUse(..))));
    assert!(matches!(delete(Cell(5).0), Err(Error::Unknown(..))));
    delete(FIRST.0).unwrap();
    assert!(matches!(delete(FIRST.0), Err(Error::Unknown(..))));
    stage.feed(1).await;
    process.kill();
    delete(second).unwrap();
    assert_eq!(events::list(dir.path()).unwrap(), []);
}
