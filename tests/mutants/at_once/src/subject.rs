//! What is mutated, and by which tests it is held.

pub struct Subject {
    pub name: &'static str,
    /// The folder of the crate that is mutated.
    pub krate: &'static str,
    /// Which of its files are: below these, but for those.
    pub files: &'static [&'static str],
    pub but: &'static [&'static str],
    /// The features of that crate which the tests turn on.
    pub features: &'static [&'static str],
    /// What cargo builds.
    pub tests: &'static [&'static str],
    /// Of their tests those that take too long for what they alone notice.
    pub skipped: &'static [&'static str],
    /// How the environment makes random tests short, for the first look.
    pub short: &'static [(&'static str, &'static str)],
    /// How many of a hundred are to be noticed.
    pub wanted: f64,
}

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
        features: &["default"],
        tests: &[
            "--package",
            "usockets-mutants",
            "--package",
            "usockets",
            "--lib",
            "--features",
            "usockets-mutants/sim-only",
        ],
        skipped: &["calls_that_unwind", "the_corpus_of_suite"],
        short: &[("SEED", "7")],
        wanted: 95.0,
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
        features: &["default"],
        tests: &["--package", "usockets-smoltcp", "--lib", "--test", "tcp"],
        skipped: &[],
        short: &[("TCP_SEEDS", "20")],
        wanted: 90.0,
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
        tests: &["--package", "usockets-tests-tls"],
        skipped: &[],
        short: &[],
        wanted: 90.0,
    },
];
