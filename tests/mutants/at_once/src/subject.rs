//! What is mutated, and by which tests it is held.

pub struct Subject {
    pub name: &'static str,
    /// The folder of the crate that is mutated.
    pub krate: &'static str,
    /// Which of its files are: below these, but for those.
    pub files: &'static [&'static str],
    pub but: &'static [&'static str],
    /// All features of that crate which the tests turn on, those by default among them.
    pub features: &'static [&'static str],
    /// What cargo builds.
    pub tests: &'static [&'static [&'static str]],
    /// Of their tests those that take too long for what they alone notice.
    pub skipped: &'static [&'static str],
    /// How the environment makes random tests short, for the first look.
    pub short: &'static [(&'static str, &'static str)],
    /// What takes too long for the first look.
    pub slow: &'static [&'static str],
    /// How many of a hundred are to be noticed.
    pub wanted: f64,
    /// How many are, as far as is known: `tests/MUTANTS.md`.
    pub known: f64,
}

/// The core's own tests, and those on the simulated network in one program. With TLS, as what
/// layers do while they open is the loop's concern.
const ON_SIM: &[&str] = &[
    "--package",
    "usockets-mutants",
    "--package",
    "usockets",
    "--lib",
    "--features",
    "usockets-mutants/sim-only,usockets-mutants/tls",
];

pub const SUBJECTS: [Subject; 3] = [
    Subject {
        name: "core",
        krate: "core",
        files: &["core/src/"],
        // TLS is a subject of its own; bugs that are injected are off, and so is the search; what
        // checks invariants is no part of a release.
        but: &[
            "core/src/tls.rs",
            "core/src/tls/",
            "core/src/injected_bug.rs",
            "core/src/event_loop/check.rs",
            "core/src/event_loop/search.rs",
            "core/src/invariant.rs",
            "core/src/pool/wheel/tests.rs",
        ],
        features: &["std"],
        tests: &[ON_SIM],
        skipped: &["the_corpus_of_suite", "slow_peers"],
        short: &[("SEED", "5")],
        slow: &["calls_that_unwind"],
        wanted: 95.0,
        known: 95.0,
    },
    Subject {
        name: "tcp",
        krate: "platform-smoltcp",
        files: &["platform-smoltcp/src/tcp/"],
        // What checks invariants is no part of a release.
        but: &[
            "platform-smoltcp/src/tcp/injected_bug.rs",
            "platform-smoltcp/src/tcp/invariants.rs",
            "platform-smoltcp/src/tcp/search.rs",
        ],
        features: &["cookies", "cubic", "ecn", "ipv6", "pacing", "plpmtud"],
        tests: &[&[
            "--package",
            "usockets-smoltcp",
            "--package",
            "usockets-mutants",
            "--lib",
            "--test",
            "tcp",
            "--features",
            "usockets-mutants/stack,usockets-smoltcp/pacing",
        ]],
        // It builds another program.
        skipped: &["the_tests_find_every_injected_bug"],
        short: &[("TCP_SEEDS", "20"), ("TCP_CELL", "lost|late|30 frames|KiB")],
        slow: &[
            "a_router_that_marks_need_not_drop",
            "an_outage_leaves_segments_as_large_as_they_were",
            "everything_gets_through_black_holes",
            "paced_bulk_data_gets_through_as_fast",
            "random_losses_cost_no_more_than_the_rfc_says",
        ],
        wanted: 90.0,
        known: 97.0,
    },
    Subject {
        name: "tls",
        krate: "core",
        files: &["core/src/tls/", "core/src/tls.rs"],
        // Vectors, and a client of another's engine.
        but: &[
            "core/src/tls/embedded/",
            "core/src/tls/handshake/rfc8448.rs",
            "core/src/tls/layer/search.rs",
            "core/src/tls/record/wycheproof.rs",
        ],
        features: &[
            "default",
            "tls",
            "tls-rsa",
            "tls-p384",
            "embedded-tls",
            "tls-small",
        ],
        tests: &[
            ON_SIM,
            &[
                "--package",
                "usockets-tests-tls",
                "--test",
                "abuse",
                "--test",
                "chains",
                "--test",
                "configurations",
                "--test",
                "costly_chains",
                "--test",
                "courtesies",
                "--test",
                "faults",
                "--test",
                "fuzz",
                "--test",
                "hellos",
                "--test",
                "hostile",
                "--test",
                "identities",
                "--test",
                "key_documents",
                "--test",
                "layer",
                "--test",
                "long_messages",
                "--test",
                "mixed_handshakes",
                "--test",
                "p384_group",
                "--test",
                "peer_identity",
                "--test",
                "peers",
                "--test",
                "records",
                "--test",
                "refusals",
                "--test",
                "resumption",
                "--test",
                "resumption_ends",
                "--test",
                "retries",
                "--test",
                "revocation",
                "--test",
                "rsa",
                "--test",
                "schemes",
                "--test",
                "secrets",
                "--test",
                "signers",
                "--test",
                "small_order",
                "--test",
                "stalled_certificates",
                "--test",
                "tickets_in_pieces",
                "--test",
                "wycheproof",
            ],
            // What is in files with certificates and keys.
            &[
                "--package",
                "usockets-linux",
                "--test",
                "key_files",
                "--features",
                "usockets-linux/tls-small",
            ],
        ],
        skipped: &[
            "calls_that_unwind",
            "the_corpus_of_suite",
            // By the kernel's clock.
            "on_real_sockets",
            // Without TLS.
            "::on_sim::",
            "::on_lent_sim::",
            "::on_proxied_sim::",
        ],
        short: &[("SEED", "5")],
        slow: &[],
        wanted: 90.0,
        known: 93.0,
    },
];
