#![no_main]

#[path = "../../tests/it/bodies.rs"]
#[allow(dead_code, reason = "each target runs one of them")]
mod bodies;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bodies::seals(bytes));
