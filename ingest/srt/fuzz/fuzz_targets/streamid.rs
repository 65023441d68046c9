#![no_main]

libfuzzer_sys::fuzz_target!(|raw: &[u8]| {
    srt::streamid::check(raw);
});
