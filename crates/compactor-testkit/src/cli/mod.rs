//! The program as its users call it: a working directory, commands in it, what they print and how
//! they exit.
//!
//! Every command goes through [`Said`], which also checks what holds for all of them: the program
//! never panics, and output that is piped has no progress bar in it.

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
