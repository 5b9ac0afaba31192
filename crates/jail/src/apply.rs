//! Puts the rules on: in the launcher, on the process that becomes the program.

use std::io;

use landlock::{
    AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::rules::Rules;

/// Confines this process for good. It must have one thread only: the others would stay free.
///
/// # Errors
/// When the kernel does not do all of it. What was done stays: the process has to end then.
pub(crate) fn apply(rules: &Rules) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    if rules.gives_up_capabilities {
        let none = CapabilitySet::empty();
        let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
        rustix::thread::set_capabilities(None, none)?;
    }
    let status = restrict(rules).map_err(io::Error::other)?;
    if status != RulesetStatus::FullyEnforced {
        return Err(io::Error::other("Landlock does not do all that it was asked for"));
    }
    for filter in &rules.filters {
        let filter = filter.program().ok_or_else(|| io::Error::other("a filter cannot be read"))?;
        seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
    }
    Ok(())
}

fn restrict(rules: &Rules) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(BitFlags::<AccessFs>::from_bits_truncate(rules.handled_files))?;
    if rules.handled_ports != 0 {
        ruleset = ruleset.handle_access(BitFlags::<AccessNet>::from_bits_truncate(rules.handled_ports))?;
    }
    if rules.scopes != 0 {
        ruleset = ruleset.scope(BitFlags::<Scope>::from_bits_truncate(rules.scopes))?;
    }
    let mut ruleset = ruleset.create()?;
    for (path, rights) in &rules.files {
        // what is not there, or can't be seen by us, stays unseen
        if let Ok(file) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(file, BitFlags::<AccessFs>::from_bits_truncate(*rights)))?;
        }
    }
    if let Some(port) = rules.port.filter(|_| rules.handled_ports != 0) {
        ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    // the launcher has set it, and a filter needs it as well
    Ok(ruleset.no_new_privs(false).restrict_self()?.ruleset)
}
