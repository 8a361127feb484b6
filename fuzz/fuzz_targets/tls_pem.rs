#![no_main]
//! PEM; see `usockets_tests_tls::fuzz_documents`.
use usockets_tests_tls::fuzz_documents::fuzz_tls_pem;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_tls_pem(bytes));
