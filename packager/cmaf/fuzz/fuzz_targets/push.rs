#![no_main]
#[path = "../../tests/it/bodies.rs"]
mod bodies;
libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::splits(data));
