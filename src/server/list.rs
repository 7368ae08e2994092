//! `GET /api/modules`: the known modules and every row, with what the supervisor knows of them. Made
//! anew only when something has changed; a poll of many clients costs one.

use crate::{
    api::{ModuleInfo, ModuleList, ModuleState},
    home::Home,
    modules::{
        known::{self, KNOWN},
        manifest,
        registry::{Registry, Row},
    },
    supervisor::Supervisor,
};
use hyper::body::Bytes;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Counts over time windows change without an event: nothing is older than this.
const FRESH: Duration = Duration::from_secs(1);

/// What a manifest adds to a row.
type Names = HashMap<String, (Option<String>, Option<String>)>;

struct Made {
    at: Instant,
    version: u64,
    registry: Arc<Registry>,
    names: Arc<Names>,
    text: Bytes,
}

/// The last list that was made.
#[derive(Default)]
pub(super) struct List(Mutex<Option<Made>>);

impl List {
    /// The list as JSON text.
    pub(super) fn text(&self, home: &Home, supervisor: &Supervisor) -> Bytes {
        let version = supervisor.version();
        let registry = supervisor.registry();
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = made
            .as_ref()
            .filter(|made| Arc::ptr_eq(&made.registry, &registry));
        if let Some(made) = same
            && made.version == version
            && made.at.elapsed() < FRESH
        {
            return made.text.clone();
        }
        let names = same.map_or_else(
            || Arc::new(names(home, &registry)),
            |made| made.names.clone(),
        );
        let states = supervisor.states();
        let text: Bytes = serde_json::to_vec(&list(&registry, states, &names))
            .unwrap_or_default()
            .into();
        *made = Some(Made {
            at: Instant::now(),
            version,
            registry,
            names,
            text: text.clone(),
        });
        text
    }
}

/// What the manifests of rows say that the rows do not.
fn names(home: &Home, registry: &Registry) -> Names {
    registry
        .rows
        .iter()
        .filter(|row| row.display_name.is_none() || row.tagline.is_none())
        .filter_map(|row| {
            let manifest = manifest::read(home, row).ok()??;
            Some((row.name.clone(), (manifest.display_name, manifest.tagline)))
        })
        .collect()
}

/// The list of a box without a supervisor, too.
pub(super) fn list(registry: &Registry, states: Vec<ModuleState>, names: &Names) -> ModuleList {
    let by_short: HashMap<&str, &ModuleState> =
        states.iter().map(|state| (&*state.short, state)).collect();
    let absent = KNOWN
        .iter()
        .filter(|known| registry.find(known.short).is_none())
        .map(|known| blank(known.short, known::known(known.short).is_some()));
    let rows = registry.rows.iter().map(|row| {
        let process = registry.process_of(row).short();
        info(row, by_short.get(process).copied(), names.get(&row.name))
    });
    let modules = rows.chain(absent).collect();
    ModuleList {
        modules,
        supervised: Some(states),
        supervisor_available: Some(true),
        module_install_channel: Some("latest".into()),
    }
}

fn blank(short: &str, package: bool) -> ModuleInfo {
    ModuleInfo {
        short: short.to_owned(),
        package: package.then(|| format!("parachute-{short}")),
        display_name: None,
        tagline: None,
        available: Some(false),
        installed: Some(false),
        installed_version: None,
        latest_version: None,
        supervisor_status: None,
        pid: None,
        supervisor_start_error: None,
        install_dir: None,
        uis: Vec::new(),
        management_url: None,
    }
}

fn info(
    row: &Row,
    state: Option<&ModuleState>,
    names: Option<&(Option<String>, Option<String>)>,
) -> ModuleInfo {
    let (display_name, tagline) = names.cloned().unwrap_or_default();
    ModuleInfo {
        display_name: row.display_name.clone().or(display_name),
        tagline: row.tagline.clone().or(tagline),
        installed: Some(true),
        installed_version: Some(row.version.clone()),
        supervisor_status: state.map(|state| state.status),
        pid: state.and_then(|state| state.pid),
        supervisor_start_error: state.and_then(|state| state.start_error.clone()),
        install_dir: row
            .install_dir
            .as_ref()
            .map(|dir| dir.display().to_string()),
        uis: uis(row),
        ..blank(row.short(), known::known(&row.name).is_some())
    }
}

/// The map of slugs as a list, each with its slug.
fn uis(row: &Row) -> Vec<Value> {
    let map = row.uis.as_ref().and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(slug, ui)| {
            let mut ui = ui.as_object()?.clone();
            ui.insert("slug".into(), slug.clone().into());
            Some(Value::Object(ui))
        })
        .collect()
}
