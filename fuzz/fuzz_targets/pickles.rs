#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| compactor_testkit::fuzz::pickles::check(input));
