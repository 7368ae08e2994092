//! The command line: verbs and the flags that all of them share. Doc comments are the help text;
//! each verb's own arguments stand in its file under `commands`.

use crate::commands;
use clap::{ColorChoice, Parser, Subcommand, builder::styling};
use std::path::PathBuf;

const STYLES: styling::Styles = styling::Styles::styled()
    .header(styling::AnsiColor::Green.on_default().bold())
    .usage(styling::AnsiColor::Green.on_default().bold())
    .literal(styling::AnsiColor::Cyan.on_default().bold())
    .placeholder(styling::AnsiColor::Cyan.on_default());

const AFTER: &str = "\
Exit status: 0 done or so already · 1 something failed · 2 wrong command line · 3 no such module ·
4 no permission · 5 hub or manager cannot be reached · 6 not in time

Environment: PARACHUTE_HOME (as --home), PARACHUTE_MANAGER=systemd|launchd|none, NO_COLOR";

/// Keeps this box's services running and tells the truth about them.
#[derive(Debug, Parser)]
#[command(name = "parachute", version, styles = STYLES, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    /// What all verbs share.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// The box's folder [default: the one of the hub's unit, else ~/.parachute]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    pub home: Option<PathBuf>,
    /// One JSON document on stdout instead of text
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub json: bool,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Everywhere"
    )]
    pub color: ColorChoice,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Something about one box.
    #[command(flatten)]
    OnBox(OnBox),
    /// Something else.
    #[command(flatten)]
    Own(Own),
}

/// The verbs that act on a box, which is chosen first, in the order of the help text.
#[derive(Debug, Subcommand)]
pub enum OnBox {
    /// Show what runs, what does not, and why
    Status(commands::status::Args),
    /// Start everything, or the modules named
    Start(commands::start::Args),
    /// Stop everything, or the modules named
    Stop(commands::stop::Args),
    /// Stop and start everything, or the modules named
    Restart(commands::restart::Args),
    /// Show what modules wrote
    Logs(commands::logs::Args),
    /// Put a module on this box
    Add(commands::add::Args),
    /// Take a module off this box
    Remove(commands::remove::Args),
    /// Have the hub install a module
    Install(commands::install::Args),
    /// Have the hub upgrade a module
    Upgrade(commands::upgrade::Args),
    /// Have the hub uninstall a module
    Uninstall(commands::uninstall::Args),
    /// Exit 0 when a module, or the whole box, is active
    IsActive(commands::is_active::Args),
    /// Exit 0 when a module, or any, is on this box
    IsInstalled(commands::is_installed::Args),
    /// Wait until modules are up, or down
    Wait(commands::wait::Args),
    /// This box in one word: exit 0 when it is well
    Health(commands::health::Args),
    /// The operator's token and the key behind it
    Auth(commands::auth::Args),
}

/// The verbs that choose for themselves what they act on.
#[derive(Debug, Subcommand)]
pub enum Own {
    /// Run the hub in the foreground
    Serve(commands::serve::Args),
    /// Make the hub a service that starts at boot
    Init(commands::init::Args),
    /// Stop the hub and take its unit away
    UninstallUnit(commands::uninstall_unit::Args),
    /// Show it all at work in a throwaway home
    Demo(commands::demo::Args),
    /// Write a shell's completions to stdout
    Completions(commands::completions::Args),
    /// Write the manual's pages
    Man(commands::man::Args),
    /// What the scripts of a package ask for
    #[command(hide = true)]
    Hook(commands::hook::Args),
    /// The calling user's hub unit as JSON, for this program itself
    #[command(name = "__unit-look", hide = true)]
    UnitLook,
    /// Ends what a hub leaves behind
    #[command(name = "__guardian", hide = true)]
    Guardian,
    /// A module for demonstrations and tests
    #[command(name = "__module", hide = true)]
    TestModule(commands::testmodule::Args),
}
