//! A real edge before a real packager: what viewers are answered, and what the parent is asked.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod encryption;
#[cfg(test)]
mod ended;
#[cfg(test)]
#[path = "../../../packager/tests/it/headers.rs"]
mod headers;
#[cfg(test)]
mod leak;
#[cfg(test)]
mod lesser;
#[cfg(test)]
mod parent;
#[cfg(test)]
mod parents;
#[cfg(test)]
mod paths;
#[cfg(test)]
#[path = "../../../packager/tests/it/stage.rs"]
#[allow(dead_code, reason = "the packager's tests use all of it")]
mod stage;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod theirs;
#[cfg(test)]
mod tokens;
