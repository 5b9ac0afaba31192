//! Which sandbox works here, and what a better one would take.

use haul_shared::config::Mode;
use haul_shared::doctor::{Finding, Status};

use crate::sandbox::{NoSandbox, Sandbox, Tier, Wanted};

const NAME: &str = "sandbox.tier";
/// By what each tier needs; in containers, both are up to who starts them.
const FOR_A: &str = "for tier a: unprivileged user namespaces (sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu, \
                     user.max_user_namespaces above 0), and in a container a seccomp profile that lets pass unshare (deploy/seccomp)";
const FOR_B: &str = "for tier b: Linux 6.7 or newer with landlock among lsm= of its command line (cat /sys/kernel/security/lsm), \
                     and in a container a seccomp profile that lets pass the calls of Landlock";

/// The sandbox that a start would have come to.
pub(super) fn judged(found: &Result<Sandbox, NoSandbox>, wanted: Wanted, mode: Mode) -> Finding {
    let sandbox = match found {
        Ok(sandbox) => sandbox,
        Err(error) => {
            return Finding::fail(
                NAME,
                error,
                format_args!("HAUL_SANDBOX=auto takes the best that works; {FOR_A}; {FOR_B}"),
            );
        }
    };
    if let Err(unfit) = sandbox.check_fit(mode) {
        return Finding::fail(NAME, unfit, format_args!("{FOR_B}; {FOR_A}"));
    }
    let why = match sandbox.why_no_better() {
        why if why.is_empty() => String::new(),
        why => format!(" ({why})"),
    };
    let told = |what: &str| format!("tier {}: {what}{why}", sandbox.tier().word());
    match sandbox.tier() {
        Tier::A => Finding::ok(NAME, told("programs have namespaces of their own, and see one directory and one port")),
        // what is asked for is had, and what is had is enough: the rest is for who wants more
        Tier::B if wanted == Wanted::Auto => Finding {
            status: Status::Ok,
            ..Finding::warn(NAME, told("programs see one directory and one port"), FOR_A)
        },
        Tier::B => Finding::ok(NAME, told("programs see one directory and one port")),
        Tier::C => Finding::warn(
            NAME,
            told("programs run in no sandbox: only what is trusted should be downloaded here"),
            format_args!("{FOR_B}; {FOR_A}"),
        ),
        Tier::Off => Finding::warn(
            NAME,
            told("programs run in no sandbox, as it is wanted"),
            "leave HAUL_SANDBOX out, unless only what is trusted is downloaded here",
        ),
    }
}
