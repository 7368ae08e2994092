//! A stand-in for hubs of other make, 0.6.3, 0.7.5 and 0.7.15, for tests of what talks to them.
//!
//! It stands for facts of the box contract, sections 5 and 6, and for nothing else: which routes
//! there are, their statuses and bodies, the order of refusals, plain-text `not found` for what
//! 0.6.3 cannot drive, no `supervised` before 0.6.4, no `instance` before 0.7.6, 503 before the
//! first user, a token that counts only when its `iss` is the request's own origin. It is strict:
//! a request that a well-behaved client would not send is kept as a complaint, and a stand-in that
//! is dropped with complaints fails its test.

use super::wire::{Request, Server, answer};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD as BASE64, Engine};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant, SystemTime},
};

/// Which hub it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Make {
    V0_6_3,
    V0_7_5,
    V0_7_15,
}

impl Make {
    pub(crate) const ALL: [Make; 3] = [Make::V0_6_3, Make::V0_7_5, Make::V0_7_15];

    fn version(self) -> &'static str {
        match self {
            Make::V0_6_3 => "0.6.3",
            Make::V0_7_5 => "0.7.5",
            Make::V0_7_15 => "0.7.15",
        }
    }

    /// Whether it drives a module at all.
    fn drives(self, short: &str) -> bool {
        self > Make::V0_6_3 || matches!(short, "vault" | "scribe")
    }
}

/// A module as this hub knows it.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    /// What a start or restart makes of it: a state without `short`.
    pub(crate) becomes: Value,
    /// What it is on the look after that, where that differs.
    pub(crate) then: Option<Value>,
    /// `None` until its first start.
    pub(crate) state: Option<Value>,
    /// Something says how to start it.
    pub(crate) startable: bool,
    /// What its operations throw.
    pub(crate) throws: Option<Throw>,
    /// Its buffered lines, without prefix.
    pub(crate) lines: Vec<String>,
    /// How its log is followed.
    pub(crate) streams: Streams,
}

/// What becomes of a log that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// It goes on.
    On,
    /// It ends after the buffered lines.
    Once,
    /// This hub cannot follow: it answers as if it had not been asked to.
    Never,
}

/// How a handler fails.
#[derive(Clone, Debug)]
pub(crate) enum Throw {
    /// 500 with the reason.
    Reason(&'static str),
    /// 500 with an HTML page.
    Html,
    /// 200 after this long.
    Late(Duration),
}

impl Default for Module {
    fn default() -> Self {
        Self {
            becomes: running(4711),
            then: None,
            state: None,
            startable: true,
            throws: None,
            lines: Vec::new(),
            streams: Streams::On,
        }
    }
}

/// A running module's state.
pub(crate) fn running(pid: u32) -> Value {
    json!({"status": "running", "pid": pid, "restartsInWindow": 0})
}

/// A crashed module's state.
pub(crate) fn crashed(code: i32, start_error: Value) -> Value {
    json!({"status": "crashed", "restartsInWindow": 2, "lastExitCode": code,
        "lastCrashAt": "2026-06-01T12:00:00.000Z", "startError": start_error})
}

/// What a hub is made of.
#[derive(Debug)]
pub(crate) struct Play {
    pub(crate) make: Make,
    pub(crate) modules: BTreeMap<String, Module>,
    /// No user yet.
    pub(crate) setup: bool,
    /// What the token's scopes lack.
    pub(crate) narrow: bool,
    /// The nonce of `/health`.
    pub(crate) instance: String,
    /// A running operation's answers, one a poll; the last stays.
    pub(crate) operation: Vec<Value>,
    token: String,
    issuer: String,
    seen: Vec<Request>,
    complaints: Vec<String>,
}

#[derive(Debug, Default)]
struct Stage {
    play: Mutex<Option<Play>>,
    changed: Condvar,
}

impl Stage {
    fn play(&self) -> MutexGuard<'_, Option<Play>> {
        self.play.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The stand-in.
#[derive(Debug)]
pub(crate) struct Hub {
    server: Server,
    stage: Arc<Stage>,
}

/// A JWT of these claims that nobody can verify here.
pub(crate) fn jwt(claims: &Value) -> String {
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "stand-in"});
    let part = |value: &Value| BASE64.encode(value.to_string());
    let signature = BASE64.encode("signed by a stand-in");
    format!("{}.{}.{signature}", part(&header), part(claims))
}

/// Puts a token into a home, 0600.
pub(crate) fn put_token(home: &Path, token: &str) {
    let path = home.join("operator.token");
    fs::write(&path, format!("{token}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

impl Hub {
    /// A hub of this make, with vault, scribe and notes installed and none started; it has written
    /// its token, and its nonce where it has one, into the home.
    pub(crate) fn start(make: Make, home: &Path) -> Self {
        let stage = Arc::new(Stage::default());
        let on_stage = Arc::clone(&stage);
        let server = Server::start(move |stream| serve(&on_stage, stream));
        let issuer = format!("http://127.0.0.1:{}", server.port());
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let token = jwt(&json!({"iss": issuer, "sub": "operator", "aud": "operator",
            "scope": "hub:admin parachute:host:admin parachute:host:auth",
            "client_id": "parachute-hub", "vault_scope": [], "pa_scope_set": "admin",
            "jti": "1", "iat": now, "exp": now + 90 * 86400}));
        put_token(home, &token);
        let instance = format!("boot-of-{}", server.port());
        if make >= Make::V0_7_15 {
            let nonce = json!({ "instance": instance }).to_string();
            fs::write(home.join("hub-instance.json"), nonce).unwrap();
        }
        *stage.play() = Some(Play {
            make,
            modules: ["vault", "scribe", "notes"]
                .map(|short| (short.to_owned(), Module::default()))
                .into(),
            setup: false,
            narrow: false,
            instance,
            operation: Vec::new(),
            token,
            issuer,
            seen: Vec::new(),
            complaints: Vec::new(),
        });
        Self { server, stage }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Changes what it plays; lines that are added reach those who follow.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut Play) -> T) -> T {
        let mut play = self.stage.play();
        let out = change(play.as_mut().unwrap());
        self.stage.changed.notify_all();
        out
    }

    /// A module of it.
    pub(crate) fn module<T>(&self, short: &str, change: impl FnOnce(&mut Module) -> T) -> T {
        self.with(|play| change(play.modules.entry(short.to_owned()).or_default()))
    }

    /// `METHOD path` of what it was sent, oldest first.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.with(|play| {
            let line = |r: &Request| format!("{} {}", r.method, r.path);
            play.seen.iter().map(line).collect()
        })
    }

    /// Breaks every connection, as a hub that is killed does.
    pub(crate) fn cut(&self) {
        self.server.cut();
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let complaints = self.with(|play| std::mem::take(&mut play.complaints));
        *self.stage.play() = None;
        self.stage.changed.notify_all();
        if !std::thread::panicking() {
            assert!(
                complaints.is_empty(),
                "ill-behaved requests: {complaints:#?}"
            );
        }
    }
}

/// An answer to be sent.
struct Reply {
    status: &'static str,
    headers: String,
    body: String,
}

fn json_reply(status: &'static str, body: &Value) -> Reply {
    Reply {
        status,
        headers: "content-type: application/json\r\n".into(),
        body: body.to_string(),
    }
}

fn failure(status: &'static str, code: &str, text: &str) -> Reply {
    json_reply(status, &json!({"error": code, "error_description": text}))
}

fn serve(stage: &Stage, mut stream: TcpStream) {
    let Some(request) = Request::read(&stream) else {
        return;
    };
    let mut lock = stage.play();
    let Some(play) = lock.as_mut() else { return };
    let host = play.issuer.trim_start_matches("http://").to_owned();
    complain(play, &request, &host);
    play.seen.push(request.clone());
    let reply = match follow(play, &request) {
        Some(short) => {
            drop(lock);
            return send_lines(stage, stream, &short);
        }
        None => route(play, &request),
    };
    let late = play.modules.values().find_map(|m| match m.throws {
        Some(Throw::Late(late)) if request.method == "POST" => Some(late),
        _ => None,
    });
    if let Some(late) = late {
        // Late, but not later than the end of the test.
        let until = Instant::now() + late;
        while lock.is_some() && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            lock = stage
                .changed
                .wait_timeout(lock, left)
                .unwrap_or_else(|e| e.into_inner())
                .0;
        }
    }
    drop(lock);
    answer(&mut stream, reply.status, &reply.headers, &reply.body);
}

/// What a client of a hub of other make has to be careful about.
fn complain(play: &mut Play, request: &Request, host: &str) {
    let mut say = |what: &str| {
        let line = format!("{} {}: {what}", request.method, request.path);
        play.complaints.push(line);
    };
    if request.header("host") != Some(host) {
        say("its Host is not 127.0.0.1 and the port, exactly once");
    }
    for (name, _) in &request.headers {
        if name == "forwarded" || name.starts_with("x-forwarded") || name == "origin" {
            say("it says that it was forwarded, or from a page");
        }
    }
    let open = matches!(request.path.as_str(), "/health" | "/api/ready");
    if open && request.header("authorization").is_some() {
        say("a token where none is needed");
    }
    if !matches!(request.method.as_str(), "GET" | "POST") {
        say("a method that no route has");
    }
    if request.method == "GET" && !request.body.is_empty() {
        say("a GET with a body");
    }
}

/// Refusals in the order of the contract; `None` when there is nothing to refuse.
fn refused(play: &Play, request: &Request) -> Option<Reply> {
    if play.setup {
        return Some(failure(
            "503 Service Unavailable",
            "setup_required",
            "create the first user",
        ));
    }
    let sent = request.header("authorization").unwrap_or_default();
    let own = request.header("host").map(|host| format!("http://{host}"));
    if sent != format!("Bearer {}", play.token) || own.as_ref() != Some(&play.issuer) {
        let mut reply = failure("401 Unauthorized", "unauthenticated", "who are you");
        reply.headers += "www-authenticate: Bearer\r\n";
        return Some(reply);
    }
    if play.narrow {
        return Some(failure(
            "403 Forbidden",
            "insufficient_scope",
            "needs parachute:host:admin",
        ));
    }
    None
}

fn not_found() -> Reply {
    Reply {
        status: "404 Not Found",
        headers: "content-type: text/plain\r\n".into(),
        body: "not found".into(),
    }
}

/// The module whose log this request follows.
fn follow(play: &Play, request: &Request) -> Option<String> {
    let path = request.path.strip_suffix("?follow=1")?;
    let short = path
        .strip_prefix("/api/modules/")?
        .strip_suffix("/logs")?
        .to_owned();
    let module = play.modules.get(&short)?;
    let known = module.state.is_some() && module.streams != Streams::Never;
    let fine = play.make.drives(&short) && request.method == "GET";
    (known && fine && refused(play, request).is_none()).then_some(short)
}

fn send_lines(stage: &Stage, mut stream: TcpStream, short: &str) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n\
                cache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).is_err() {
        return;
    }
    let mut sent = 0;
    let mut lock = stage.play();
    while let Some(module) = lock
        .as_ref()
        .and_then(|play| play.modules.get(short).cloned())
    {
        let lines = module.lines;
        drop(lock);
        for line in lines.iter().skip(sent) {
            let line = format!("[{short}] {line}\n");
            if write!(stream, "{:x}\r\n{line}\r\n", line.len()).is_err() {
                return;
            }
        }
        sent = lines.len();
        if module.streams == Streams::Once {
            break;
        }
        lock = stage.play();
        let more = |play: &Option<Play>| {
            let module = play.as_ref().and_then(|play| play.modules.get(short));
            module.is_none_or(|module| module.lines.len() > sent)
        };
        while !more(&lock) {
            lock = stage.changed.wait(lock).unwrap_or_else(|e| e.into_inner());
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
}

fn route(play: &mut Play, request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    let get = request.method == "GET";
    match path {
        "/health" if get => {
            let mut body =
                json!({"status": "ok", "service": "parachute-hub", "version": play.make.version()});
            if play.make >= Make::V0_7_15 {
                body["instance"] = play.instance.clone().into();
            }
            let mut reply = json_reply("200 OK", &body);
            reply.headers += "cache-control: no-store\r\n";
            reply
        }
        "/api/ready" if get => json_reply(
            "200 OK",
            &json!({"ready": true, "ready_modules": ["vault"], "transient_modules": [],
                "persistent_modules": []}),
        ),
        "/api/modules" if get => match refused(play, request) {
            Some(reply) => reply,
            None => json_reply("200 OK", &list(play)),
        },
        _ => match path
            .strip_prefix("/api/modules/")
            .and_then(|p| p.split_once('/'))
        {
            Some(("operations", _)) if get => match refused(play, request) {
                Some(reply) => reply,
                None => operation(play),
            },
            Some((short, verb)) => module(play, request, short, verb),
            None => not_found(),
        },
    }
}

/// `GET /api/modules` of this make.
fn list(play: &mut Play) -> Value {
    for module in play.modules.values_mut() {
        if module.state.is_some()
            && let Some(then) = module.then.take()
        {
            module.state = Some(then);
        }
    }
    let null = Value::Null;
    let entry = |(short, module): (&String, &Module)| {
        let state = module.state.as_ref().unwrap_or(&null);
        json!({"short": short, "package": format!("@example/{short}"), "display_name": short,
            "tagline": "", "available": true, "installed": true, "installed_version": "0.4.0",
            "latest_version": null, "supervisor_status": state["status"], "pid": state["pid"],
            "supervisor_start_error": state["startError"], "install_dir": null, "uis": [],
            "management_url": null})
    };
    let drives = |(short, _): &(&String, &Module)| match play.make {
        Make::V0_6_3 => matches!(short.as_str(), "vault" | "scribe"),
        _ => true,
    };
    let mut body = json!({
        "modules": play.modules.iter().filter(drives).map(entry).collect::<Vec<_>>(),
        "supervisor_available": true, "module_install_channel": "latest"});
    if play.make > Make::V0_6_3 {
        body["supervised"] = play
            .modules
            .iter()
            .filter_map(|(short, module)| Some(named(short, module.state.as_ref()?)))
            .collect();
    }
    body
}

fn operation(play: &mut Play) -> Reply {
    match play.operation.len() {
        0 => failure("404 Not Found", "not_found", "no such operation"),
        1 => json_reply("200 OK", &play.operation[0]),
        _ => json_reply("200 OK", &play.operation.remove(0)),
    }
}

fn named(short: &str, state: &Value) -> Value {
    let mut named = json!({ "short": short });
    for (key, value) in state.as_object().unwrap() {
        named[key] = value.clone();
    }
    named
}

fn module(play: &mut Play, request: &Request, short: &str, verb: &str) -> Reply {
    let post = match verb {
        "start" | "stop" | "restart" | "install" | "upgrade" | "uninstall" => true,
        "logs" => false,
        _ => return not_found(),
    };
    if !play.make.drives(short) {
        return not_found();
    }
    if post != (request.method == "POST") {
        let mut reply = failure("405 Method Not Allowed", "method_not_allowed", "no");
        reply.headers += if post {
            "allow: POST\r\n"
        } else {
            "allow: GET\r\n"
        };
        return reply;
    }
    if let Some(reply) = refused(play, request) {
        return reply;
    }
    if let "install" | "upgrade" = verb {
        return json_reply("202 Accepted", &json!({"operation_id": "op-1"}));
    }
    if verb == "uninstall" {
        play.modules.remove(short);
        return json_reply("200 OK", &json!({ "short": short }));
    }
    let Some(module) = play.modules.get_mut(short) else {
        return match verb {
            "stop" => json_reply("200 OK", &json!({"short": short, "stopped": false})),
            "logs" => failure("404 Not Found", "not_supervised", "never started"),
            _ => failure("400 Bad Request", "not_installed", "no such row"),
        };
    };
    match module.throws {
        Some(Throw::Reason(why)) => {
            return failure("500 Internal Server Error", "module_op_failed", why);
        }
        Some(Throw::Html) => {
            return Reply {
                status: "500 Internal Server Error",
                headers: "content-type: text/html; charset=utf-8\r\n".into(),
                body: "<!doctype html><pre>TypeError: undefined</pre>".into(),
            };
        }
        Some(Throw::Late(_)) | None => {}
    }
    let is_running = module
        .state
        .as_ref()
        .is_some_and(|state| state["status"] == "running");
    match (verb, &module.state) {
        ("logs", Some(_)) => {
            let lines: Vec<String> = module
                .lines
                .iter()
                .map(|line| format!("[{short}] {line}\n"))
                .collect();
            json_reply(
                "200 OK",
                &json!({"short": short, "lines": lines, "text": lines.concat()}),
            )
        }
        ("logs" | "restart", None) => failure("404 Not Found", "not_supervised", "never started"),
        ("stop", None) => json_reply("200 OK", &json!({"short": short, "stopped": false})),
        ("stop", Some(_)) => {
            let state = json!({"status": "stopped", "restartsInWindow": 0});
            module.state = Some(state.clone());
            json_reply(
                "200 OK",
                &json!({"short": short, "stopped": true, "state": named(short, &state)}),
            )
        }
        _ if !module.startable => {
            failure("422 Unprocessable Entity", "no_start_cmd", "no startCmd")
        }
        _ => {
            if verb == "restart" || !is_running {
                module.state = Some(module.becomes.clone());
            }
            let state = module.state.clone().unwrap_or_default();
            json_reply(
                "200 OK",
                &json!({"short": short, "state": named(short, &state)}),
            )
        }
    }
}
