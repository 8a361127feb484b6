#![no_main]
//! Bytes are what a client of a server of frames sends; see `usockets_tests::fuzz`.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| usockets_tests::fuzz::fuzz_frame_queues(bytes));
