//! Codes that are kept from one batch of insertions to the next, as long as they can be trusted.

use super::{Codes, Exact, faithful};

/// Whether there are codes to find neighbours by.
#[derive(Debug, Default)]
pub(crate) enum Shadow {
    /// Too little was inserted so far for codes to be worth their making.
    #[default]
    Undecided,
    /// Codes tell the vectors apart too badly.
    Refused,
    /// There are, and they were compared with so many vectors.
    Codes { codes: Codes, compared: usize },
}

impl Shadow {
    /// Brings the codes up to date with the vectors, `new` of which are to be inserted in all.
    pub(crate) fn updated(self, exact: Exact<'_>, new: usize, threads: usize) -> Self {
        let all = exact.vectors.len();
        let (codes, compared) = match self {
            Self::Refused => return self,
            Self::Undecided if !Codes::suit(exact.vectors.dimension(), new, all) => return self,
            Self::Undecided => (Codes::of(exact, threads), 0),
            Self::Codes {
                mut codes,
                compared,
            } => {
                codes.extend(exact, threads);
                (codes, compared)
            }
        };
        if all < 2 * compared {
            return Self::Codes { codes, compared };
        }
        if faithful(&codes, exact) {
            Self::Codes {
                codes,
                compared: all,
            }
        } else {
            Self::Refused
        }
    }
}
