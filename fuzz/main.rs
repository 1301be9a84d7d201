#![no_main]

mod payload;

libfuzzer_sys::fuzz_target!(|body: &[u8]| payload::target(body));
