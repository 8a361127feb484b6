//! Copies of a layer, and fingerprints of its state. With the feature `search` only.
//!
//! What is leased lies in memory of the caller's, so that a copy of a layer is one into the memory
//! of another. Ids are hashed by their places in the loop's pool, and times as how long ago they
//! were.

use core::hash::{Hash, Hasher};

use crate::event_loop::search::CopyFrom;
use crate::id::SocketId;
use crate::invariant::invariant;
use crate::platform::Platform;
use crate::tls::crypto::provider::Crypto;
use crate::tls::layer::platform::Tls;
use crate::tls::layer::socket::TlsSocket;

/// Hashes the place of the socket whose id has these bits, or that there is none.
pub(crate) fn hash_owner(bits: u64, into: &mut impl Hasher) {
    SocketId::from_bits(bits).map(|id| id.index()).hash(into);
}

/// Makes the places at `to` what those at `from` are; false if they are not as many.
pub(crate) fn copy_all<T: Clone>(to: &mut [T], from: &[T]) -> bool {
    for (to, from) in to.iter_mut().zip(from) {
        to.clone_from(from);
    }
    to.len() == from.len()
}

impl<P: Platform + Clone, C: Crypto + Clone> CopyFrom for Tls<'_, P, C>
where
    C::Room: Clone,
{
    fn copy_from(&mut self, other: &Self) {
        let Tls {
            inner,
            crypto,
            configs,
            pools,
            sessions,
            peers,
            stats,
            breaches,
            handshakes_left,
            verifications_left,
            reports_left,
            ending,
            lease_max,
            secures_inserts,
        } = other;
        self.inner.clone_from(inner);
        self.crypto.clone_from(crypto);
        self.configs = configs;
        let is_copied = self.pools.copy_from(pools)
            && copy_all(self.sessions, sessions)
            && copy_all(self.peers, peers);
        invariant!(is_copied, "layers are copied that have as much memory");
        self.stats = *stats;
        self.breaches = *breaches;
        self.handshakes_left = *handshakes_left;
        self.verifications_left = *verifications_left;
        self.reports_left = *reports_left;
        self.ending = *ending;
        self.lease_max = *lease_max;
        self.secures_inserts = *secures_inserts;
    }
}

impl<P: Platform + Hash, C: Crypto + Hash> Hash for Tls<'_, P, C> {
    fn hash<S: Hasher>(&self, into: &mut S) {
        let Tls {
            inner,
            crypto,
            // The same in all of a search.
            configs: _,
            lease_max: _,
            secures_inserts: _,
            pools,
            sessions,
            // Told to the program, and asked of by nobody here.
            peers: _,
            // They count only.
            stats: _,
            breaches: _,
            // Set anew by each wait.
            handshakes_left: _,
            reports_left: _,
            verifications_left,
            ending,
        } = self;
        (inner, crypto, pools).hash(into);
        for session in sessions.iter() {
            session.hash(into);
        }
        verifications_left.hash(into);
        ending.map(|id| id.index()).hash(into);
    }
}

impl<S: Hash> Hash for TlsSocket<S> {
    fn hash<H: Hasher>(&self, into: &mut H) {
        let (handshake_bits, input_bits) = self.leased_bits();
        let Self {
            inner,
            connection,
            id,
            output,
            flags,
            config,
            ..
        } = self;
        (inner, connection, output, flags, config).hash(into);
        (handshake_bits, input_bits).hash(into);
        hash_owner(*id, into);
    }
}

impl<P: Platform, C: Crypto> Tls<'_, P, C> {
    /// Returns how many handshakes, inputs, outputs and places to park are not free.
    #[must_use]
    pub fn leased(&self) -> usize {
        let pools = &self.pools;
        let leased = [
            pools.handshakes.count(),
            pools.inputs.count(),
            pools.outputs.count(),
            pools.parked.count(),
            pools.exchanges.count(),
        ];
        leased.iter().sum()
    }
}
