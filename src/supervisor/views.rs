//! What everybody may see of all modules, at once and without asking any of them.

use super::{Supervisor, log::Follow, phase::Phase};
use crate::{
    api::{ModuleState, Ready},
    modules::registry::Registry,
};
use std::sync::{Arc, atomic::Ordering};

impl Supervisor {
    /// All states, by short name.
    pub fn states(&self) -> Vec<ModuleState> {
        self.0.modules().values().map(|m| m.state()).collect()
    }

    /// One module's state, when it is supervised.
    pub fn state(&self, name: &str) -> Option<ModuleState> {
        self.supervised(name).map(|module| module.state())
    }

    /// The lines that are kept of a module's output, raw and each with its newline.
    pub fn logs(&self, name: &str) -> Option<Vec<u8>> {
        self.supervised(name).map(|module| module.log.kept())
    }

    /// Those lines and all that follow, until the module ends for good.
    pub fn follow(&self, name: &str) -> Option<Follow> {
        self.supervised(name)
            .map(|module| module.log.clone().follow())
    }

    /// Grows with every change of any state.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Relaxed)
    }

    /// The registry as it is now; the last one that could be read when it cannot be.
    pub fn registry(&self) -> Arc<Registry> {
        self.0.rows.latest(&self.0.home)
    }

    /// Which modules are live, on their way, or not coming by themselves.
    pub fn ready(&self) -> Ready {
        let mut ready = Ready::default();
        for module in self.0.modules().values() {
            let list = match module.phase() {
                Phase::Running { unbound: false } => &mut ready.ready_modules,
                Phase::Running { unbound: true } | Phase::Crashed => &mut ready.persistent_modules,
                Phase::Stopped => continue,
                Phase::Starting { .. } | Phase::Stopping { .. } | Phase::Waiting => {
                    &mut ready.transient_modules
                }
            };
            list.push(module.short.clone());
        }
        ready.ready = ready.transient_modules.is_empty();
        ready
    }
}
