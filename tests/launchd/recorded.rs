//! The stand-in itself, against calls and answers of real Macs: each file in
//! `tests/fakes/launchctl-recorded/` is one sequence, played from top to bottom.
//!
//! ```text
//! # whence the facts
//! ! {"gui": false}                     settings of the Mac
//! ! plist NAME {"Label": …}            a property list in the folder that $DIR stands for
//! ! as root                            the calls that follow are root's; `as user` ends it
//! ! program NAME sleep 600             a program there, by rename; `mode NAME 666`; `written NAME`
//! ! until print gui/501/x has runs >= 3            or `state = running`: a deadline, not a sleep
//! $ bootout gui/501/x                  the call
//! 3                                    its exit code
//! 2> Boot-out failed: 3: No such process           each line of standard error
//! 1> 4711                              each line of standard output; <pid> any number, … any rest
//! 1~ state = running                   a line of standard output, among others
//! ```

use super::mac::{Mac, PATIENCE};
use std::{fs, path::Path, process::Command, time::Instant};

struct Play {
    mac: Mac,
    root: bool,
    name: String,
    line: usize,
    /// Exit code, stdout, stderr of the last call; what of them is not yet accounted for.
    answer: Option<(i32, Vec<String>, Vec<String>)>,
}

impl Play {
    fn fail(&self, why: &str) -> ! {
        panic!(
            "{}:{}: {why}; left over: {:?}",
            self.name, self.line, self.answer
        )
    }

    fn call(&self, words: &str) -> (i32, Vec<String>, Vec<String>) {
        let words = words.replace("$DIR", self.mac.user_dir().to_str().unwrap());
        let mut command = Command::new(super::mac::fakes().join("launchctl"));
        command
            .args(words.split_whitespace())
            .env("PATH", super::mac::path())
            .env("FAKE_LAUNCHD_STATE", self.mac.state())
            .env("FAKE_LAUNCHD_OWNER", std::process::id().to_string());
        if self.root {
            command.env("FAKE_LAUNCHD_UID", "0");
        }
        let output = command.output().unwrap();
        let lines = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes)
                .lines()
                .map(str::to_owned)
                .collect()
        };
        (
            output.status.code().unwrap(),
            lines(&output.stdout),
            lines(&output.stderr),
        )
    }

    /// The whole answer was expected.
    fn done(&mut self) {
        let answer = self.answer.take();
        if let Some((_, out, err)) = &answer
            && !(err.is_empty() && (out.is_empty() || out.len() > 3))
        {
            self.answer = answer;
            self.fail("more was said");
        }
    }

    fn order(&mut self, order: &str) {
        self.done();
        match order.split_once(' ').unwrap_or((order, "")) {
            ("as", who) => self.root = who == "root",
            ("plist", rest) => {
                let (name, json) = rest.split_once(' ').unwrap();
                let json = json.replace("$DIR", self.mac.user_dir().to_str().unwrap());
                let value: plist::Value = serde_json::from_str(&json).unwrap();
                value.to_file_xml(self.mac.user_dir().join(name)).unwrap();
            }
            ("mode", rest) => {
                let (name, mode) = rest.split_once(' ').unwrap();
                let mode = u32::from_str_radix(mode, 8).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
                fs::set_permissions(self.mac.user_dir().join(name), mode).unwrap();
            }
            ("program", rest) => {
                let (name, line) = rest.split_once(' ').unwrap();
                let temp = self.mac.user_dir().join("new");
                fs::write(&temp, format!("#!/bin/sh\nexec {line}\n")).unwrap();
                let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
                fs::set_permissions(&temp, mode).unwrap();
                fs::rename(temp, self.mac.user_dir().join(name)).unwrap();
            }
            ("written", name) => {
                let deadline = Instant::now() + PATIENCE;
                while fs::read(self.mac.user_dir().join(name)).is_ok_and(|text| text.is_empty()) {
                    assert!(Instant::now() < deadline, "{name} stays empty");
                    std::thread::yield_now();
                }
            }
            ("until", rest) => {
                let (call, wanted) = rest.split_once(" has ").unwrap();
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let (code, out, _) = self.call(call);
                    let met = |line: &String| match wanted.split_once(" >= ") {
                        Some((key, least)) => line
                            .trim()
                            .strip_prefix(key)
                            .and_then(|rest| rest.strip_prefix(" = ")?.parse::<u32>().ok())
                            .is_some_and(|number| number >= least.parse().unwrap()),
                        None => line.trim() == wanted,
                    };
                    if out.iter().any(met) || code.to_string() == wanted {
                        return;
                    }
                    if Instant::now() > deadline {
                        self.answer = Some((code, out, Vec::new()));
                        self.fail("never so");
                    }
                }
            }
            _ => self.mac.set(serde_json::from_str(order).unwrap()),
        }
    }

    fn expect(&mut self, wanted: &str) {
        let Some((code, out, err)) = &mut self.answer else {
            self.fail("no call yet");
        };
        let met = if let Ok(wanted) = wanted.parse::<i32>() {
            *code == wanted
        } else if let Some(wanted) = wanted.strip_prefix("2> ") {
            !err.is_empty() && matches(wanted, &err.remove(0), &self.mac)
        } else if let Some(wanted) = wanted.strip_prefix("1> ") {
            !out.is_empty() && matches(wanted, &out.remove(0), &self.mac)
        } else if let Some(wanted) = wanted.strip_prefix("1~ ") {
            out.iter()
                .any(|line| matches(wanted, line.trim(), &self.mac))
        } else if let Some(wanted) = wanted.strip_prefix("1! ") {
            !out.iter()
                .any(|line| matches(wanted, line.trim(), &self.mac))
        } else {
            self.fail("no such word in these files");
        };
        if !met {
            self.fail(&format!("expected {wanted:?}"));
        }
    }
}

fn matches(wanted: &str, said: &str, mac: &Mac) -> bool {
    let wanted = wanted
        .replace("$DIR", mac.user_dir().to_str().unwrap())
        .replace("<tab>", "\t");
    if let Some((before, after)) = wanted.split_once("<pid>") {
        let middle = said
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        return middle.is_some_and(|pid| pid.parse::<u32>().is_ok());
    }
    match wanted.strip_suffix('…') {
        Some(start) => said.starts_with(start),
        None => said == wanted,
    }
}

fn play(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/launchctl-recorded");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let mac = Mac::new();
    let mut play = Play {
        mac,
        root: false,
        name: name.into(),
        line: 0,
        answer: None,
    };
    for line in text.lines() {
        play.line += 1;
        if let Some(call) = line.strip_prefix("$ ") {
            play.done();
            play.answer = Some(play.call(call));
        } else if let Some(order) = line.strip_prefix("! ") {
            play.order(order);
        } else if !line.is_empty() && !line.starts_with('#') {
            play.expect(line);
        }
    }
    play.done();
}

macro_rules! recordings {
    ($($test:ident)*) => {
        $(#[test] fn $test() { play(concat!(stringify!($test), ".txt")); })*

        #[test]
        fn every_recording_is_played() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/launchctl-recorded");
            let mut there: Vec<String> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            let mut played = vec![$(concat!(stringify!($test), ".txt").to_owned()),*];
            there.sort();
            played.sort();
            assert_eq!(there, played);
        }
    };
}

recordings! {
    not_loaded
    life_of_a_job
    draining
    crash_loop
    disabled
    no_screen
    refused_plists
    wrong_words
    not_for_this_user
    pinned_binary
    older_systems
    listing
}
