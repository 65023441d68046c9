//! Drills of a real edge before a real origin: what is late, missing or broken is said, and nothing else is.

#[cfg(test)]
mod drill;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod regressions;
#[cfg(test)]
#[path = "../../../packager/tests/it/stage.rs"]
#[allow(dead_code, reason = "the packager's tests use all of it")]
mod stage;
