//! What is told of a program that cannot be run: in a sandbox it may be for what that hides.

use std::fmt;

use super::Sandbox;

/// A program that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CannotRun {
    variable: &'static str,
    said: String,
    is_confined: bool,
}

impl Sandbox {
    /// Of the program that this variable names, how it ended in here, with its last words.
    pub(crate) fn cannot_run(&self, variable: &'static str, said: String) -> CannotRun {
        CannotRun { variable, said, is_confined: self.tier().confines() }
    }
}

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, said, is_confined } = self;
        if !is_confined {
            return write!(f, "{variable} cannot be run: {said}");
        }
        write!(
            f,
            "{variable} cannot be run in the sandbox: {said}; if it can be run outside: it sees its own file, the Python that its \
             first line names, `lib` and `lib64` beside the folder `bin` that it is in, and the system. {variable} has to be the \
             program itself, and no script that calls it from elsewhere"
        )
    }
}

impl std::error::Error for CannotRun {}
