//! What is wrong with the configuration: all of it at once, as at a start, each with what to do.

use super::Finding;
use crate::config::vars::{self, Group, Var};
use crate::config::{Env, Fault, Warning};

const NAME: &str = "config.variables";

/// The faults of the environment, and what is odd in it. `remedy`: what to do about a fault, where that is more than to set its
/// variable otherwise.
pub fn configuration(env: &Env, faults: &[Fault], remedy: impl Fn(&Fault) -> Option<String>) -> Vec<Finding> {
    let fault = |fault: &Fault| {
        let remedy = remedy(fault).unwrap_or_else(|| meaning(fault.var));
        Finding::fail(NAME, format_args!("{}: {}", fault.var, fault.what), remedy)
    };
    let warning = |warning: &Warning| Finding::warn(NAME, warning, mended(warning));
    let warnings = env.warnings();
    let findings: Vec<_> = faults.iter().map(fault).chain(warnings.iter().map(warning)).collect();
    if findings.is_empty() {
        return vec![Finding::ok(NAME, "every variable that is set can be read, and they agree")];
    }
    findings
}

/// Is a variable of this group at fault? What is known of it then is its default, and no more than that.
#[must_use]
pub fn is_faulty(faults: &[Fault], group: Group) -> bool {
    faults.iter().any(|fault| var(fault.var).is_some_and(|var| var.group == group))
}

/// Is none of these variables at fault? What hangs on one that is could only be judged by its default.
#[must_use]
pub fn are_known(faults: &[Fault], vars: &[Var]) -> bool {
    !faults.iter().any(|fault| vars.iter().any(|var| var.name == fault.var))
}

fn var(name: &str) -> Option<&'static Var> {
    vars::ALL.iter().find(|var| var.name == name)
}

fn meaning(name: &str) -> String {
    let Some(var) = var(name) else { return format!("set {name} otherwise") };
    let sentence = var.doc.split(". ").next().unwrap_or_default().trim_end_matches('.').replace('`', "");
    let default = var.default.map_or_else(String::new, |default| format!(", or leave it out (then it is {default})"));
    format!("set {name} otherwise{default}: {sentence}")
}

fn mended(warning: &Warning) -> String {
    match warning {
        Warning::Unknown { name, nearest } => format!("rename {name} to {nearest}, or remove it"),
        Warning::ShortKey { name } => format!("set {name} on every API to what this prints: openssl rand -base64 48"),
        Warning::NoEffect { name, needed } => format!("set {needed} too, or remove {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Report;

    #[test]
    fn every_fault_is_a_finding_with_its_remedy_and_so_is_what_is_odd() {
        let env = Env::of_pairs([("HAUL_SLOT", "2"), ("HAUL_SIGNING_KEY", "hunter2"), ("HAUL_REGION_MAP", "x")]);
        let fault = |var, what: &str| Fault { var, what: what.to_owned() };
        let faults = [fault("HAUL_SLOTS", "expected a number"), fault("HAUL_FFMPEG", "there is no program")];
        let own = |fault: &Fault| (fault.var == "HAUL_FFMPEG").then(|| "apt-get install ffmpeg".to_owned());
        let findings = configuration(&env, &faults, own);
        assert!(!Report::of(findings.clone()).passes(false));
        let told: Vec<_> =
            findings.iter().map(|it| format!("{}\n  {}", it.found, it.remedy.as_deref().unwrap())).collect();
        expect_test::expect![[r#"
            HAUL_SLOTS: expected a number
              set HAUL_SLOTS otherwise, or leave it out (then it is 2): Jobs that a worker runs at once, 1 to 256
            HAUL_FFMPEG: there is no program
              apt-get install ffmpeg
            HAUL_SLOT is no variable of Haul; the nearest is HAUL_SLOTS
              rename HAUL_SLOT to HAUL_SLOTS, or remove it
            HAUL_SIGNING_KEY is shorter than 32 characters
              set HAUL_SIGNING_KEY on every API to what this prints: openssl rand -base64 48
            HAUL_REGION_MAP has no effect without HAUL_REGION_HEADER
              set HAUL_REGION_HEADER too, or remove HAUL_REGION_MAP
        "#]]
        .assert_eq(&(told.join("\n") + "\n"));
        assert!(is_faulty(&faults, Group::Programs) && !is_faulty(&faults, Group::Redis));
        assert!(are_known(&faults, &[vars::YTDLP]) && !are_known(&faults, &[vars::YTDLP, vars::SLOTS]));
        assert!(Report::of(configuration(&Env::of_pairs::<&str, &str>([]), &[], own)).passes(true));
    }
}
