//! How long the verbs take on a managed box, against `systemctl`. A benchmark: run by name, with
//! `--ignored --nocapture`, on a quiet machine; `PARACHUTE_BENCH_EXE` names the release build.

use super::{
    Box,
    driver::As::{Root, User},
    scenario::Actor,
};

#[test]
#[ignore = "a benchmark"]
fn status_and_start_on_a_managed_box() {
    let exe = std::env::var_os("PARACHUTE_BENCH_EXE");
    let exe = exe.unwrap_or_else(|| env!("CARGO_BIN_EXE_parachute").into());
    let Some(b) = Box::with(exe.as_ref()) else {
        return;
    };
    for (actor, who) in [(Actor::Root, Root), (Actor::User, User)] {
        b.user(actor == Actor::User);
        let init: &[&str] = match actor {
            Actor::Root => &["/usr/local/bin/parachute", "init", "--run-as", "alex"],
            _ => &["/usr/local/bin/parachute", "init"],
        };
        if actor == Actor::Root {
            for (at, name) in ["one", "two", "three", "four", "five"].iter().enumerate() {
                b.module(
                    name,
                    &format!("310{at}"),
                    &["--say", "a line for the journal"].repeat(12),
                );
            }
            b.exec(init).ok();
        } else {
            b.exec(&["/usr/local/bin/parachute", "uninstall-unit"]).ok();
            b.as_user(init).ok();
        }
        b.comes_up(actor);
        let scope = if actor == Actor::Root { "" } else { "--user" };
        let median = |command: &str| {
            let took = b.drive(who, &format!("clock {command}")).unwrap();
            let at = |index: usize| took[index].as_f64().unwrap() / 1000.0;
            println!(
                "{actor:?}  {command:60} median {:6.2} ms  best {:6.2}  worst {:6.2}",
                at(25),
                at(0),
                at(49)
            );
            at(25)
        };
        let status = median("/usr/local/bin/parachute status --json");
        median("/usr/local/bin/parachute start hub");
        median("/usr/local/bin/parachute --version");
        let systemctl = median(&format!("systemctl {scope} status -n 50 parachute-hub"));
        println!(
            "{actor:?}  status is {:.2} of systemctl status",
            status / systemctl
        );
    }
}
