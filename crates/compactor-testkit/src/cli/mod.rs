//! Runs the program as its users do: commands in a working directory, with their output and exit codes.
//!
//! Every command goes through [`Said`], which checks that the program does not panic and that piped output
//! has no progress bar.

mod logs;
mod said;
mod workdir;

pub use logs::Logs;
pub use said::Said;
pub use workdir::Workdir;

/// Exit code of a command that failed.
pub const FAILURE: i32 = 1;
/// Exit code of a command line that cannot be understood.
pub const USAGE: i32 = 2;
/// Exit code of wrong settings: `EX_CONFIG` of `sysexits.h`.
pub const CONFIGURATION: i32 = 78;
