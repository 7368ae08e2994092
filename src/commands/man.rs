//! `parachute man`: the manual's pages, from the command line's own definitions.

use crate::{
    cli::Cli,
    error::{Code, Error, Exit, Result, reason},
    output::{Output, Report, SCHEMA, text},
};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Write the manual's pages
///
/// Without `--out`, the page of one verb, or of the program, to stdout: `parachute man | man -l -`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The verb whose page is wanted
    #[arg(value_name = "VERB", conflicts_with = "out")]
    verb: Option<String>,
    /// Write every page into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Pages {
    schema: u32,
    folder: PathBuf,
    pages: Vec<String>,
}

impl Report for Pages {
    fn human(&self, to: &mut dyn Write) -> io::Result<()> {
        let (count, folder) = (text::count(self.pages.len(), "page"), self.folder.display());
        writeln!(to, "{count} in {folder}")
    }
}

/// Carries it out.
pub fn run(args: &Args, out: &Output) -> Result<Exit> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    if let Some(folder) = &args.out {
        let mut pages = Vec::new();
        std::fs::create_dir_all(folder).map_err(|e| Error::io("make", folder, &e))?;
        all(&program, folder, &mut pages)?;
        return Ok(out.report(&Pages {
            schema: SCHEMA,
            folder: folder.clone(),
            pages,
        }));
    }
    let verb = match &args.verb {
        None => program,
        Some(name) => program
            .find_subcommand(name)
            .filter(|verb| !verb.is_hide_set())
            .cloned()
            .ok_or_else(|| {
                Error::new(Code::Usage, format!("there is no verb `{name}`"))
                    .hint("`parachute --help` lists them")
            })?,
    };
    let page = page(verb).map_err(|e| Error::new(Code::Io, reason(&e)))?;
    Ok(out.text("page", &page.1))
}

/// A verb's page and those of its own verbs.
fn all(verb: &Command, folder: &Path, pages: &mut Vec<String>) -> Result<()> {
    let (name, text) = page(verb.clone()).map_err(|e| Error::io("write in", folder, &e))?;
    let path = folder.join(&name);
    std::fs::write(&path, text).map_err(|e| Error::io("write", &path, &e))?;
    pages.push(name);
    verb.get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .try_for_each(|verb| all(verb, folder, pages))
}

/// Name and text of one page.
fn page(verb: Command) -> io::Result<(String, Vec<u8>)> {
    let man = Man::new(verb).manual("Parachute");
    let mut text = Vec::new();
    man.render(&mut text)?;
    Ok((man.get_filename(), text))
}
