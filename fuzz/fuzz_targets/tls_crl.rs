#![no_main]
//! Lists of revoked certificates; see `usockets_tests_tls::fuzz_documents`.
use usockets_tests_tls::fuzz_documents::fuzz_tls_crl;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_tls_crl(bytes));
