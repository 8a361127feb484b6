//! Conformance on platforms that are lent to their loops and leave out what they may.

use usockets::Instant;

use super::{Bed, SimBed};
use crate::bare::Bare;
use crate::rng::seeds;
use crate::sim::{Faults, Host};

/// Rough networks that each test is run on, besides the smooth one.
const ROUGH: u64 = 4;

/// Hosts of one simulated network, each lent.
#[derive(Debug)]
pub struct LentBed(SimBed);

/// Runs a test on a smooth network and on some rough ones, which lose nothing.
pub fn on_lent_sim(mut test: impl FnMut(&mut LentBed)) {
    test(&mut LentBed(SimBed::new(0, Faults::none())));
    for seed in seeds(ROUGH) {
        println!("SEED={seed}");
        test(&mut LentBed(SimBed::new(seed, Faults::rough(seed))));
    }
}

impl LentBed {
    /// Makes hosts that are lent of others.
    #[must_use]
    pub const fn new(bed: SimBed) -> Self {
        Self(bed)
    }
}

impl Bed for LentBed {
    type P = &'static mut Bare<Host>;

    fn platform(&mut self) -> Self::P {
        Box::leak(Box::new(Bare(self.0.platform())))
    }

    usockets_conformance::forward_bed!(0);

    fn patience(&self, platform: &Self::P) -> Option<Instant> {
        self.0.patience(&platform.0)
    }

    fn plenty(&self) -> usize {
        self.0.plenty()
    }
}
