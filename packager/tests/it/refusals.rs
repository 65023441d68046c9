//! Playlist requests that are refused, and those that may not be.

use crate::reload::{Then, exchange, expire, give, judge, query, refuse};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_33_a_part_without_msn_is_refused() {
    let mut stage = Stage::running(1).await;
    for query in ["_HLS_part=0", "_HLS_part=3&CMCD=x"] {
        judge(33, &exchange(&mut stage, query, Then::Stalls).await, give);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_34_an_msn_too_far_ahead_is_refused() {
    let mut stage = Stage::running(1).await;
    for msn in [40_000_013, 40_000_500, u64::MAX] {
        judge(
            34,
            &exchange(&mut stage, &format!("_HLS_msn={msn}"), Then::Stalls).await,
            expire,
        );
        judge(
            34,
            &exchange(&mut stage, &query(msn, 0), Then::Stalls).await,
            expire,
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_35_a_part_too_far_ahead_is_refused() {
    let mut stage = Stage::running(1).await;
    for part in [7, 8, 1_000, u64::MAX] {
        judge(
            35,
            &exchange(&mut stage, &query(40_000_010, part), Then::Stalls).await,
            expire,
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rule_40_directives_are_numbers_and_unknown_ones_are_ignored() {
    let mut stage = Stage::running(1).await;
    for query in [
        "_HLS_msn=-1",
        "_HLS_msn=1.5",
        "_HLS_msn=",
        "_HLS_msn=x&_HLS_part=1",
        "_HLS_msn=1&_HLS_part=-1",
        "_HLS_part=x",
    ] {
        judge(40, &exchange(&mut stage, query, Then::Stalls).await, give);
    }
    for query in ["", "_HLS_new=1", "_HLS_new", "CMCD=a%3D1&x", "_HLS_skip=YES"] {
        judge(40, &exchange(&mut stage, query, Then::Stalls).await, refuse);
    }
}
