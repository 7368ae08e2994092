//! `parachute completions`, and the answers to a shell that completes: verbs and flags from the
//! command line's own definitions, names from the box. Costs other verbs one look at a variable.

use crate::{
    cli::Cli,
    context::{COMPLETING, Context, Teller},
    error::{Code, Error, Exit, Result, reason},
    home::Home,
    lifecycle,
    modules::{
        known::KNOWN,
        registry::{Registry, Row},
    },
    output::Output,
};
use clap::{Arg, Command, CommandFactory};
use clap_complete::{
    engine::{ArgValueCandidates, CompletionCandidate},
    env::Shells,
};
use std::{ffi::OsString, io, path::PathBuf, sync::Arc};

/// Write a shell's completions to stdout
///
/// They ask this program for the names of modules while you type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Bash:  parachute completions bash > ~/.local/share/bash-completion/completions/parachute
Zsh:   parachute completions zsh > ~/.zfunc/_parachute, with ~/.zfunc in $fpath
Fish:  parachute completions fish > ~/.config/fish/completions/parachute.fish")]
pub struct Args {
    /// For which shell
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

/// Carries it out.
pub fn run(args: &Args, out: &Output) -> Result<Exit> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .ok_or_else(|| Error::new(Code::Usage, format!("{} is no known shell", args.shell)))?;
    let mut script = Vec::new();
    shell
        .write_registration(
            COMPLETING,
            "parachute",
            "parachute",
            "parachute",
            &mut script,
        )
        .map_err(unmade)?;
    Ok(out.text("script", &script))
}

/// Answers a shell that asks; `words` is the command line as it does, after `--`.
pub fn answer(shell: &str, cx: &Context, out: &Output) -> Result<Exit> {
    let shells = Shells::builtins();
    let shell = shells.completer(shell).ok_or_else(|| {
        Error::new(
            Code::Usage,
            format!("{COMPLETING} is {shell:?}, no known shell"),
        )
    })?;
    let mut words: Vec<OsString> = cx.args.iter().skip_while(|w| *w != "--").cloned().collect();
    if words.len() < 2 {
        return Err(Error::new(
            Code::Usage,
            format!("{COMPLETING} is set, and there is nothing to complete"),
        )
        .hint("it is for shells: `parachute completions --help`"));
    }
    words.remove(0);
    let mut command = with_names(Cli::command(), home_of(&words), cx);
    command.build();
    let folder = std::env::current_dir().ok();
    let mut text = Vec::new();
    shell
        .write_complete(&mut command, words, folder.as_deref(), &mut text)
        .map_err(unmade)?;
    Ok(out.text("answer", &text))
}

fn unmade(error: io::Error) -> Error {
    let why = reason(&error);
    Error::new(Code::Io, format!("cannot make completions: {why}"))
}

/// `--home DIR` on the command line that is being completed.
fn home_of(words: &[OsString]) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--home" {
            return words.next().map(PathBuf::from);
        }
        if let Some(dir) = word.to_str().and_then(|w| w.strip_prefix("--home=")) {
            return Some(PathBuf::from(dir));
        }
    }
    None
}

/// The definitions, with what may stand where a verb takes names.
fn with_names(command: Command, home: Option<PathBuf>, cx: &Context) -> Command {
    let mut cx = cx.clone();
    cx.tell = Arc::new(Silent);
    if let Some(home) = home {
        let home = std::path::absolute(&home).unwrap_or(home);
        cx.explicit = Some(Home::new(home));
    }
    let cx = Arc::new(cx);
    command.mut_subcommands(|verb| {
        let here: fn(&Context) -> Vec<String> = match verb.get_name() {
            "status" | "start" | "stop" | "restart" | "logs" | "wait" | "is-active" => with_hub,
            "remove" | "is-installed" | "upgrade" | "uninstall" => modules,
            "add" | "install" => missing,
            _ => return verb,
        };
        let cx = Arc::clone(&cx);
        verb.mut_args(move |arg: Arg| {
            if !matches!(arg.get_id().as_str(), "names" | "name") {
                return arg;
            }
            let cx = Arc::clone(&cx);
            arg.add(ArgValueCandidates::new(move || {
                let names = here(&cx).into_iter();
                names.map(CompletionCandidate::new).collect()
            }))
        })
    })
}

fn registry(cx: &Context) -> Registry {
    let look = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let home = runtime.block_on(lifecycle::home(cx)).ok()?;
        Registry::read(&home).ok()
    };
    look().unwrap_or_default()
}

fn modules(cx: &Context) -> Vec<String> {
    let rows = registry(cx).rows;
    rows.iter().map(Row::short).map(str::to_owned).collect()
}

fn with_hub(cx: &Context) -> Vec<String> {
    let mut names = modules(cx);
    names.push("hub".to_owned());
    names
}

fn missing(cx: &Context) -> Vec<String> {
    let there = modules(cx);
    let known = KNOWN.iter().map(|known| known.short.to_owned());
    known.filter(|short| !there.contains(short)).collect()
}

/// A person who is typing is told nothing.
struct Silent;

impl Teller for Silent {
    fn waiting(&self, _: Option<&str>) {}
    fn say(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}
