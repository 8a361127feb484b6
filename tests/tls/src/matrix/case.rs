//! One combination.

use std::fmt;

use usockets::tls::{Group, Suite};

use crate::Kind;

/// Who we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    Server,
    Client,
}

/// A combination of what two implementations can agree on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    pub role: Role,
    pub suite: Suite,
    pub group: Group,
    /// The server's key.
    pub kind: Kind,
    /// The first share is of a group that the other does not take.
    pub retries: bool,
    /// The peer sends, and asks for, small records.
    pub has_fragments: bool,
    /// The client's key, if it shows a certificate.
    pub person: Option<Kind>,
}

/// Kinds of keys that we have identities of.
pub const KINDS: [Kind; 3] = [Kind::P256, Kind::Ed25519, Kind::Rsa(2_048)];

impl Case {
    /// Returns every combination for a role.
    pub fn all(role: Role) -> Vec<Self> {
        let people = [None].into_iter().chain(KINDS.map(Some));
        let mut cases = Vec::new();
        for (retries, has_fragments) in [(false, false), (false, true), (true, false), (true, true)]
        {
            for kind in KINDS {
                for person in people.clone() {
                    for &suite in Suite::ALL {
                        cases.extend([Group::X25519, Group::P256].map(|group| Self {
                            role,
                            suite,
                            group,
                            kind,
                            retries,
                            has_fragments,
                            person,
                        }));
                    }
                }
            }
        }
        cases
    }

    /// Returns a few of `cases` in which every value of each dimension is, and every pair of
    /// values of two dimensions that is in `cases`.
    pub fn pairwise(cases: &[Self]) -> Vec<Self> {
        let mut wanted: Vec<_> = cases.iter().flat_map(Self::pairs).collect();
        let mut chosen = Vec::new();
        while !wanted.is_empty() {
            let gain = |case: &&Self| {
                let pairs = case.pairs();
                wanted.iter().filter(|pair| pairs.contains(pair)).count()
            };
            let best = *cases.iter().max_by_key(gain).expect("cases");
            let pairs = best.pairs();
            wanted.retain(|pair| !pairs.contains(pair));
            chosen.push(best);
        }
        chosen
    }

    /// Returns every two dimensions' values.
    fn pairs(&self) -> Vec<String> {
        let words = self.words();
        let mut pairs = Vec::new();
        for (at, first) in words.iter().enumerate() {
            for second in &words[at + 1..] {
                pairs.push(format!("{first},{second}"));
            }
        }
        pairs
    }

    /// Returns each dimension's value.
    fn words(&self) -> [String; 6] {
        [
            format!("{:?}", self.suite),
            format!("{:?}", self.group),
            format!("{:?}", self.kind),
            if self.retries { "HRR" } else { "-" }.to_string(),
            if self.has_fragments {
                "fragments"
            } else {
                "whole"
            }
            .to_string(),
            match self.person {
                Some(kind) => format!("client {kind:?}"),
                None => "no client certificate".to_string(),
            },
        ]
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} with {}", self.role, self.words().join(" "))
    }
}
