//! The builder that every test starts from: a throwaway home, a cleared environment, the program
//! that ships, and nothing left running at the end.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Seek, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// The program under test.
pub const EXE: &str = env!("CARGO_BIN_EXE_parachute");

/// How long anything may take before a test fails. Generous: a loaded machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A throwaway home directory with a box in it.
pub struct Sandbox {
    dir: tempfile::TempDir,
}

/// What a run of the program gave.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// The one JSON document on stdout.
    pub fn json(&self) -> serde_json::Value {
        let mut documents = serde_json::Deserializer::from_str(&self.out).into_iter();
        let first = documents
            .next()
            .unwrap_or_else(|| panic!("no document: {self:?}"));
        assert!(
            documents.next().is_none(),
            "more than one document: {self:?}"
        );
        first.unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Asserts the exit status, showing everything when it differs.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.out, self.err
        );
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = output
            .status
            .code()
            .or(output.status.signal().map(|s| 128 + s));
        Self {
            code: code.unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Sandbox {
    /// An empty home directory; the box's own folder is not made yet.
    pub fn new() -> Self {
        Self {
            dir: tempfile::Builder::new()
                .prefix("parachute-test-")
                .tempdir()
                .unwrap(),
        }
    }

    /// The user's folder.
    pub fn user_dir(&self) -> &Path {
        self.dir.path()
    }

    /// The box's folder.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join(".parachute")
    }

    /// A path in the box's folder.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.home().join(path)
    }

    /// The program in a cleared environment, not run yet.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(EXE);
        command
            .args(args)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.user_dir())
            .env("LANG", "C.UTF-8")
            .env("PARACHUTE_MANAGER", "none")
            .current_dir(self.user_dir())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs `parachute` with words split at spaces.
    pub fn say(&self, line: &str) -> Ran {
        self.run(line.split_whitespace())
    }

    /// The status document.
    pub fn status(&self) -> serde_json::Value {
        self.say("status --json").json()
    }

    /// One module's row of the status document.
    pub fn row(&self, name: &str) -> serde_json::Value {
        let status = self.status();
        let rows = status["modules"].as_array().unwrap().clone();
        rows.into_iter()
            .find(|r| r["name"] == name)
            .unwrap_or_else(|| panic!("no row {name}: {status}"))
    }

    /// Adds a module that is this binary's own test module with these habits; gives its port.
    pub fn module(&self, name: &str, habits: &[&str]) -> u16 {
        let mut command = vec![EXE, "__module"];
        command.extend(habits);
        self.add(name, &command)
    }

    /// Adds a module with any command on a free port.
    pub fn add(&self, name: &str, command: &[&str]) -> u16 {
        let port = free_port();
        let port_text = port.to_string();
        let mut args = vec!["add", name, "--force", "--port", &port_text, "--"];
        args.extend(command);
        self.run(args).expect(0);
        port
    }

    /// Writes services.json whole.
    pub fn registry(&self, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.home()).unwrap();
        fs::write(self.at("services.json"), text).unwrap();
    }

    /// services.json as it stands.
    pub fn registry_json(&self) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.at("services.json")).unwrap()).unwrap()
    }

    /// A file in the box's folder, its folders made as needed.
    pub fn file(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path)
            .unwrap()
            .write_all(text.as_ref())
            .unwrap();
        path
    }

    /// Text of a file in the box's folder.
    pub fn text(&self, path: &str) -> String {
        let path = self.at(path);
        fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// An executable script in the user's folder.
    pub fn script(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = self.user_dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The pid that a pidfile names.
    pub fn pid(&self, name: &str) -> u32 {
        let text = self.text(&format!("{name}/run/{name}.pid"));
        text.lines().next().unwrap().parse().unwrap()
    }
}

impl Drop for Sandbox {
    /// Ends whatever still carries this home in its environment: tests that fail leave nothing.
    fn drop(&mut self) {
        let mark = format!("PARACHUTE_HOME={}", self.home().display());
        for pid in pids() {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            if environ.split(|&b| b == 0).any(|v| v == mark.as_bytes()) {
                let _ = Command::new("kill")
                    .args(["-KILL", &pid.to_string()])
                    .stderr(Stdio::null())
                    .status();
            }
        }
    }
}

/// Every pid there is.
pub fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .collect()
}

/// Lives, and is no zombie.
pub fn alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state = stat
        .rsplit(')')
        .next()
        .and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

/// A port that nobody listens on, and that no other test is given: they are counted, across
/// processes, below those that the kernel takes for outgoing connections.
pub fn free_port() -> u16 {
    let place = std::env::temp_dir().join("parachute-test-ports");
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(place);
    let mut file = file.unwrap();
    file.lock().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    let mut port: u16 = text.trim().parse().unwrap_or(0);
    loop {
        port = if (11_000..31_000).contains(&port) {
            port + 1
        } else {
            11_000
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            file.rewind().unwrap();
            file.write_all(format!("{port:<6}").as_bytes()).unwrap();
            return port;
        }
    }
}

/// Does somebody accept connections there.
pub fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Waits for a condition, under a deadline.
#[track_caller]
pub fn until<T>(what: &str, mut met: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = met() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "{what} did not happen within {PATIENCE:?}"
        );
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// As [`until`], for a plain condition.
#[track_caller]
pub fn until_true(what: &str, mut met: impl FnMut() -> bool) {
    until(what, || met().then_some(()));
}

/// A child that is ended when the test is over.
pub struct Guarded(pub Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Are we root? Tests that need it say so when not.
pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Skips the rest of a test that needs root, and says so.
#[macro_export]
macro_rules! needs_root {
    () => {
        if !$crate::sandbox::root() {
            eprintln!("skipped: needs root");
            return;
        }
    };
}
