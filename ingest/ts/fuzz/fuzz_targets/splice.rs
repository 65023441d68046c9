#![no_main]
#[path = "../../tests/it/bodies.rs"]
mod bodies;
#[path = "../../tests/it/mux.rs"]
mod mux;
libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::splice(data));
