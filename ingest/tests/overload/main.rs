//! A machine that is too slow. A binary of its own: the load would spoil what others measure beside it.
#[cfg(test)]
mod overload;
#[cfg(test)]
#[path = "../it/packager.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod packager;
#[cfg(test)]
#[path = "../it/stage.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod stage;
