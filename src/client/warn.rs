//! What is odd about the token, told once a run to whoever wants to hear of it. Decides nothing of
//! where it is shown.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Told of what is odd.
type Told = Arc<dyn Fn(&str) + Send + Sync>;

/// Tells once, however many calls find it.
#[derive(Clone, Default)]
pub(super) struct Warn {
    told: Option<Told>,
    said: Arc<AtomicBool>,
}

impl Warn {
    pub(super) fn to(told: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            told: Some(Arc::new(told)),
            said: Arc::default(),
        }
    }

    pub(super) fn tell(&self, what: &str) {
        if let Some(told) = &self.told
            && !self.said.swap(true, Ordering::Relaxed)
        {
            told(what);
        }
    }
}

impl fmt::Debug for Warn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warn").finish_non_exhaustive()
    }
}
