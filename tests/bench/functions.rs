//! What the verbs are made of, one function each: `cargo bench`. How the whole verbs compare with
//! what one would use instead is in `commands.sh`, beside this file.

use criterion::{Criterion, criterion_group, criterion_main};
use parachute::{
    api::{SCHEMA, StartError, StartErrorType},
    commands::status::Screen,
    home::Home,
    lifecycle::status::{BoxStatus, RowStatus, State, Way},
    modules::{
        launch::{self, Spawner},
        registry::{self, Registry},
    },
    os::{port::Listeners, process::Snapshot},
    output::Report,
};
use std::{hint::black_box, path::Path};

/// A registry with this many rows, as text.
fn rows(count: usize) -> String {
    let row = |n: usize| {
        serde_json::json!({"name": format!("module-{n}"), "port": 20_000 + n, "paths": [format!("/{n}")],
            "health": "/health", "version": "1.2.3", "installDir": format!("/srv/module-{n}"),
            "displayName": format!("Module {n}"), "theirs": {"kept": [1, 2.50, "three"]}})
    };
    let rows: Vec<_> = (0..count).map(row).collect();
    serde_json::to_string_pretty(&serde_json::json!({ "services": rows })).unwrap_or_default()
}

fn registry_of_50_rows(c: &mut Criterion) {
    let text = rows(50);
    let file = Path::new("services.json");
    c.bench_function("registry: read 50 rows", |b| {
        b.iter(|| Registry::parse(black_box(text.as_bytes()), file));
    });
    let Ok(dir) = tempfile::tempdir() else { return };
    let home = Home::new(dir.path());
    if std::fs::write(home.registry(), &text).is_err() {
        return;
    }
    let mut version = 0;
    c.bench_function("registry: change a row of 50, on disk", |b| {
        b.iter(|| {
            version += 1;
            registry::edit(&home, |document| {
                let Some(row) = document.row_mut("module-25") else {
                    return Ok(false);
                };
                row.insert("version".to_owned(), format!("1.2.{version}").into());
                Ok(true)
            })
        });
    });
}

fn launch_plan(c: &mut Criterion) {
    let Ok(registry) = Registry::parse(rows(1).as_bytes(), Path::new("services.json")) else {
        return;
    };
    let spawner = Spawner {
        env: std::env::vars_os().collect(),
        ..Spawner::default()
    };
    let inputs = launch::Inputs {
        home: Home::new("/home/someone/.parachute"),
        row: registry.rows[0].clone(),
        manifest: Some(parachute::modules::manifest::Manifest {
            start_cmd: Some(vec!["serve".to_owned(), "--fast".to_owned()]),
            ..Default::default()
        }),
        dotenv: (0..20)
            .map(|n| (format!("KEY_{n}").into(), "value".into()))
            .collect(),
        origin: Some("https://box.example.org".to_owned()),
        extra_path: Vec::new(),
        warnings: Vec::new(),
    };
    c.bench_function("launch: plan", |b| {
        b.iter(|| launch::plan(black_box(&inputs), &spawner, "id"))
    });
}

fn kernel(c: &mut Criterion) {
    let count = Snapshot::take().map_or(0, |s| s.processes.len());
    c.bench_function(&format!("kernel: all processes ({count} here)"), |b| {
        b.iter(Snapshot::take)
    });
    let count = Listeners::read().map_or(0, |l| l.all.len());
    c.bench_function(
        &format!("kernel: all listening ports ({count} here)"),
        |b| b.iter(Listeners::read),
    );
}

fn status_screen(c: &mut Criterion) {
    let row = |n: usize| RowStatus {
        name: format!("module-{n}"),
        service: format!("module-{n}"),
        state: if n.is_multiple_of(7) {
            State::Failing
        } else {
            State::Active
        },
        port: Some(20_000),
        version: Some("1.2.3".to_owned()),
        pid: Some(4711),
        uptime_seconds: Some(3_700),
        latency_ms: Some(1.4),
        url: Some("http://127.0.0.1:20000".to_owned()),
        source: Some("/srv/module".to_owned()),
        start_error: n
            .is_multiple_of(7)
            .then(|| StartError::new(StartErrorType::ExitedEarly, "it ended at once: exit code 1")),
        notes: Vec::new(),
        cpu_percent: Some(0.3),
        memory_bytes: Some(18_350_080),
        log: Vec::new(),
    };
    let screen = Screen {
        status: BoxStatus {
            schema: SCHEMA,
            home: Home::new("/home/someone/.parachute"),
            way: Way::Detached,
            manager: None,
            hub: None,
            modules: (0..50).map(row).collect(),
            notes: Vec::new(),
            unreachable: false,
        },
        wide: true,
        user_dir: None,
    };
    c.bench_function("status: table of 50 rows", |b| {
        b.iter(|| {
            let mut text = Vec::with_capacity(16 * 1024);
            screen.human(&mut text).map(|()| text.len())
        });
    });
    c.bench_function("status: document of 50 rows", |b| {
        b.iter(|| serde_json::to_vec(&screen))
    });
}

criterion_group!(
    benches,
    registry_of_50_rows,
    launch_plan,
    kernel,
    status_screen
);
criterion_main!(benches);
