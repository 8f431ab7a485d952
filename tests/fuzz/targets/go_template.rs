#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| loadgrid_fuzz::go_template(data));
